"""Encryption between the hosts of a cluster: certificates by one command, nothing in the clear unasked."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from hapsight.errors import ConfigError, StoreError

__all__ = ["make_certificates", "require_encrypted"]

SETTINGS: Final = "dask.yaml"
"""File in the folder of certificates that ``DASK_CONFIG`` is set to, for scheduler, workers and run alike."""

_MAKE: Final = "hapsight cluster certificates FOLDER"

_YAML: Final = """\
# For scheduler, workers and hapsight alike: export DASK_CONFIG={folder}/dask.yaml
distributed:
  comm:
    default-scheme: tls
    require-encryption: true
    tls:
      ca-file: "{folder}/certificate.pem"
      scheduler: {{cert: "{folder}/certificate.pem", key: "{folder}/key.pem"}}
      worker: {{cert: "{folder}/certificate.pem", key: "{folder}/key.pem"}}
      client: {{cert: "{folder}/certificate.pem", key: "{folder}/key.pem"}}
"""


def make_certificates(folder: Path, days: int = 365) -> Path:
    """Make a key, a certificate that it signs itself, and Dask's settings that let in nobody without the key.

    Parameters
    ----------
    folder
        Made here, for its owner alone, as is all in it.
    days
        For which the certificate holds.

    Returns
    -------
    The file of settings, for ``DASK_CONFIG``.

    Raises
    ------
    StoreError
        The folder is there already, or cannot be made, or openssl is not there or fails.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise StoreError(
            "There is such a folder already; keys are not overwritten.",
            where=folder,
            fix="use the certificates in it, or name another folder",
        ) from None
    except OSError as error:
        raise StoreError("Certificates cannot be made.", where=folder, got=error) from None
    try:
        settings = _filled(folder, days)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # made above, so that the next try can make it
        raise
    return settings


def _filled(folder: Path, days: int) -> Path:
    settings = folder / SETTINGS
    try:
        with tempfile.TemporaryDirectory(dir=folder) as made:
            _openssl(Path(made), days)
            for name in ("key.pem", "certificate.pem"):
                (Path(made) / name).chmod(0o600)
                (Path(made) / name).rename(folder / name)
        settings.touch(mode=0o600, exist_ok=False)
        settings.write_text(_YAML.format(folder=folder))
    except OSError as error:
        raise StoreError("Certificates cannot be made.", where=folder, got=error) from None
    return settings


def _openssl(folder: Path, days: int) -> None:
    """Have a key and a certificate written; nobody but their owner can ever open the key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes", "-days", str(days)]
    command += ["-subj", "/CN=hapsight cluster", "-keyout", "key.pem", "-out", "certificate.pem"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, umask=0o077, check=False)
    except FileNotFoundError:
        raise StoreError(
            "Certificates are made with openssl, which is not here.",
            fix="install openssl, or make them on another host and copy the folder",
        ) from None
    if done.returncode:
        raise StoreError("openssl made no certificate.", got=done.stderr.strip().rpartition("\n")[2])


def require_encrypted(address: str, asked: bool) -> None:
    """Refuse what would send genotypes and expression in the clear, or run the programs of strangers.

    Parameters
    ----------
    address
        Of the scheduler, as Dask reads it.
    asked
        Whether an unencrypted scheduler on another host is wanted all the same.

    Raises
    ------
    ConfigError
        It is not on this host's loopback and not encrypted; or it is encrypted, and this run has no
        certificate, or one that cannot be read.
    """
    from distributed.comm.addressing import parse_address, parse_host_port

    scheme, location = parse_address(address)
    if scheme in ("tls", "wss"):
        _require_certificates(address)
    elif not asked and scheme != "inproc" and not _is_loopback(parse_host_port(location, 0)[0]):
        raise ConfigError(
            "The scheduler is on a network and does not encrypt: others could read data and run programs.",
            where=address,
            expected="tls://, or a scheduler on this host's loopback",
            got=f"{scheme}://",
            fix=f"run `{_MAKE}`, export DASK_CONFIG=FOLDER/{SETTINGS} for scheduler, workers and this run, "
            "and start all again; or set [cluster] unencrypted = true, if nobody else is on that network",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_certificates(address: str) -> None:
    from distributed.security import Security

    try:
        configured: Any = Security
        context = configured().get_connection_args("client")["ssl_context"]
    except (OSError, TypeError, ValueError) as error:
        raise _no_certificate(address, error) from None
    if context is None:
        raise _no_certificate(address, f"DASK_CONFIG={os.environ.get('DASK_CONFIG', '')}")


def _no_certificate(address: str, got: object) -> ConfigError:
    return ConfigError(
        "The scheduler lets in only who has a certificate, and this run has none that can be used.",
        where=address,
        expected="Dask's settings distributed.comm.tls: ca-file, and cert and key of the client",
        got=got,
        fix=f"export DASK_CONFIG=FOLDER/{SETTINGS}, as for scheduler and workers; `{_MAKE}` makes it",
    )
