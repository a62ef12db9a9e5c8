"""What the embedded engine does not import, and that an explicit import still finds it."""

import subprocess
import sys

PROGRAM = """
import sys
from infra.engines.open import open_engine

open_engine("local")
import pyarrow as pa

table = pa.table({"name": pa.array(["a", None]), "number": pa.array([1, 2])})
assert pa.RecordBatch.from_pylist(table.to_pylist(), table.schema).to_pylist() == table.to_pylist()
assert "pandas" not in sys.modules, "pandas was imported"
try:
    import pandas
except ImportError:
    sys.exit(0)
assert list(table.to_pandas()["number"]) == [1, 2]
assert pa.array(pandas.Series([1, 2])).to_pylist() == [1, 2]
"""


def test_pyarrow_does_not_import_pandas_unasked() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
