"""From pictures to people: what does not depend on the engine."""
