"""cmake/package/release.sh: the same commit gives the same octets, whoever makes them, wherever and whenever."""
import os
import subprocess
import tarfile

import pytest

from conftest import TOP, run


def clone(folder):
    if subprocess.run(["git", "-C", str(TOP), "rev-parse", "HEAD"], capture_output=True, check=False).returncode != 0:
        pytest.skip("not in a git repository (a release has no history)")
    run("git", "clone", "--quiet", TOP, folder)
    # what is not committed must not get in
    (folder / "notes.txt").write_text("not for others\n")
    (folder / "README.md").write_text("half done\n")
    return folder


def begin(source, out, umask, zone):
    temporary = out.parent / f"work{umask:o}"
    temporary.mkdir(parents=True)
    return subprocess.Popen([str(source / "cmake/package/release.sh"), str(out)], cwd="/", umask=umask, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "TMPDIR": str(temporary), "TZ": zone})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_makers_make_the_same(tmp_path):
    outs = [tmp_path / "a/out", tmp_path / "at-another-place/which-is-longer/out"]
    makers = [begin(clone(out.parent / "source"), out, umask, zone)
              for out, umask, zone in zip(outs, (0o022, 0o077), ("Asia/Tokyo", "America/Lima"))]
    told = [maker.communicate()[0] for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0], "\n".join(told)
    names = sorted(p.name for p in outs[0].iterdir())
    assert names == sorted(p.name for p in outs[1].iterdir()) and len(names) == 3
    for name in names:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), f"{name} differs"

    run("sha256sum", "-c", "SHA256SUMS", cwd=outs[0])
    [archive] = outs[0].glob("*.tar.gz")
    inside = tarfile.open(archive)
    members = [m for m in inside.getmembers() if not m.isdir()]
    prefix = archive.name.removesuffix(".tar.gz") + "/"
    committed = run("git", "-C", outs[0].parent / "source", "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    assert sorted(m.name for m in members) == sorted(prefix + name for name in committed)
    assert b"half done" not in inside.extractfile(prefix + "README.md").read()
    assert {m.mode & 0o777 for m in members} == {0o644, 0o755}

    [package] = outs[0].glob("*.deb")
    run("dpkg-deb", "-x", package, tmp_path / "data")
    for file in (tmp_path / "data").rglob("*"):
        assert file.is_dir() or str(tmp_path).encode() not in file.read_bytes(), f"{file} tells where it was built"
