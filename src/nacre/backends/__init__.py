"""Ways to run a program. Each lowering is one function, ``compile(program) -> Executable``; only `nacre.training` picks one."""
