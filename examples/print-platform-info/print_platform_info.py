import platform

name = platform.uname()
print(f"system:  {name.system}")
print(f"machine: {name.machine}")
print(f"python:  {platform.python_version()}")
