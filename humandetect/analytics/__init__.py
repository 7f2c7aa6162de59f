"""From boxes to answers: tracks, lines, zones, events and counts, as pure functions of what was detected."""
