"""Write the core's manifest: the SHA-256 of every file that a service gets of it.

A test of the template fails while it is stale. In a service it tells whoever asks which core
files were edited or are missing. The format is that of `sha256sum`: in a service,
`cd gatehouse && sha256sum --check manifest.sha256` reads it.
"""

import argparse
import subprocess
from hashlib import sha256
from pathlib import Path

CORE = Path(__file__).parents[1] / "template" / "gatehouse"
MANIFEST = CORE / "manifest.sha256"


def manifest(core: Path = CORE) -> str:
    """The manifest's right content: the files that git knows or would take in, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "."],
        cwd=core,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = {name for name in listed.split("\0") if name and (core / name).is_file()}
    names.discard(MANIFEST.name)
    return "".join(
        f"{sha256((core / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names)
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    content = manifest()
    MANIFEST.write_text(content, encoding="utf-8", newline="\n")
    print(f"Wrote {MANIFEST.name} with {len(content.splitlines())} files.")


if __name__ == "__main__":
    main()
