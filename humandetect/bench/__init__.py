"""`humandetect bench`: how fast, how large and how right servers and engines are, measured side by side.

A run, in order (`benchmark.run`):

1. `pictures` reads what is sent; `targets` starts a server (or engine) for each engine, or reaches those of `--url`.
2. Each target is asked once, which warms it up; OpenVINO in float32 finds the people that all answers must name.
3. For each load of the `plan` all targets take turns, a window each (`measurement`), until the last three agree.
4. A window is sent by a process of its own (`server_load`, `engine_load`) after a `schedule`; it returns `samples`.
5. `windows` judges them; `figures` holds the report, which `tables`, `report_files` and `plot` show and `gates` judge.
"""
