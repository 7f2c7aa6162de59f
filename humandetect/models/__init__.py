"""The models there are: where they lie, and what is known of them before an engine loads one."""
