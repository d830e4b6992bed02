"""The files of deploy/ against the gateway they start; container engines are not needed."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from fakes.gateway import gateway
from only1mcp.cli.main import app
from only1mcp.config.load import load

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
ENVIRON: Final = {
    "ONLY1MCP_TOKEN": "a-token-that-is-long-enough-0123456789",
    "ONLY1MCP_METRICS_TOKEN": "another-token-that-is-long-enough-0123456789",
}
PINNED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)


def documents(name: str) -> list[Any]:
    """The YAML documents of one file."""
    return list(YAML(typ="safe").load_all(DEPLOY / name))


def instructions(name: str) -> list[list[str]]:
    """The lines of the Dockerfile as words, the first one the instruction."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    found = [line.split(None, 1) for line in text.splitlines() if line and line[0] not in "#"]
    return [rest for rest in found if rest[0] == name]


def container() -> Any:
    """The container of the Kubernetes deployment."""
    kinds = {one["kind"]: one for one in documents("kubernetes/only1mcp.yaml")}
    return kinds["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def status(url: str, headers: dict[str, str] | None = None) -> int:
    """What a probe sees."""
    try:
        request = urllib.request.Request(url, headers=headers or {})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_image_is_not_root_and_asks_without_curl() -> None:
    assert instructions("USER") == [["USER", "10001:10001"]]
    (healthcheck,) = instructions("HEALTHCHECK")
    assert "curl" not in healthcheck[1]
    assert json.loads(instructions("ENTRYPOINT")[0][1]) == ["only1mcp"]
    run, *options = json.loads(instructions("CMD")[0][1])
    known = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    }
    assert run in known and options == ["--config", "/etc/only1mcp/only1mcp.yaml"]


async def test_probes_and_healthcheck_see_the_gateway(tmp_path: Path) -> None:
    check = json.loads(instructions("HEALTHCHECK")[0][1].partition("CMD ")[2])
    assert check[0] == "python"
    probes = [container()[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe")]
    assert probes == ["/livez", "/readyz"]
    config = {"server": {"auth": {"tokens": [ENVIRON["ONLY1MCP_TOKEN"]]}}}
    async with gateway(config, tmp_path) as running:
        for path in probes:
            assert await asyncio.to_thread(status, f"{running.url}{path}") == 200
        asks = [
            sys.executable,
            *(word.replace("http://127.0.0.1:8080", running.url) for word in check[1:]),
        ]
        healthy = await asyncio.create_subprocess_exec(*asks)
        assert await healthy.wait() == 0
        await running.stop()
        gone = await asyncio.create_subprocess_exec(*asks, stderr=asyncio.subprocess.DEVNULL)
        assert await gone.wait() != 0


async def test_kubernetes_probes_are_answered_at_the_address_of_a_pod(tmp_path: Path) -> None:
    kinds = {one["kind"]: one for one in documents("kubernetes/only1mcp.yaml")}
    config = YAML(typ="safe").load(kinds["ConfigMap"]["data"]["only1mcp.yaml"])
    config["server"]["host"] = "127.0.0.1"
    pod = {"Host": "10.1.2.3:8080"}
    async with gateway(config, tmp_path, env=ENVIRON) as running:
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container()[kind]["httpGet"]
            headers = pod | {one["name"]: one["value"] for one in get.get("httpHeaders", [])}
            url = f"{running.url}{get['path']}"
            assert await asyncio.to_thread(status, url, headers) == 200, kind
            assert await asyncio.to_thread(status, url, pod) == 421, "or the header were no use"


@pytest.mark.parametrize("file", ["only1mcp.yaml", "kubernetes/only1mcp.yaml"])
async def test_prometheus_may_read_the_metrics_and_no_more(file: str, tmp_path: Path) -> None:
    first = documents(file)[0]
    config = YAML(typ="safe").load(first["data"]["only1mcp.yaml"]) if "data" in first else first
    config["server"]["host"] = "127.0.0.1"
    async with gateway(config, tmp_path, env=ENVIRON) as running:
        for name, page, expected in (
            ("ONLY1MCP_METRICS_TOKEN", "/metrics", 200),
            ("ONLY1MCP_METRICS_TOKEN", "/api/v1/admin/metrics", 401),
            ("ONLY1MCP_METRICS_TOKEN", "/mcp", 401),
            ("ONLY1MCP_TOKEN", "/metrics", 401),
            ("ONLY1MCP_TOKEN", "/api/v1/admin/metrics", 200),
        ):
            headers = {"Authorization": f"Bearer {ENVIRON[name]}"}
            found = await asyncio.to_thread(status, f"{running.url}{page}", headers)
            assert found == expected, (name, page)


def test_the_configurations_are_valid(tmp_path: Path) -> None:
    assert load(DEPLOY / "only1mcp.yaml", ENVIRON).config.server.auth is not None
    kinds = {one["kind"]: one for one in documents("kubernetes/only1mcp.yaml")}
    (tmp_path / "only1mcp.yaml").write_text(kinds["ConfigMap"]["data"]["only1mcp.yaml"])
    loaded = load(tmp_path / "only1mcp.yaml", ENVIRON).config
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > loaded.server.drain_timeout
    assert spec["securityContext"]["runAsNonRoot"]
    ports = {port["containerPort"] for port in container()["ports"]}
    assert ports == {loaded.server.port}


def test_compose_names_what_is_there() -> None:
    (compose,) = documents("compose.yaml")
    services = compose["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            assert (DEPLOY / volume.partition(":")[0]).is_file(), volume
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "published on loopback only"
    assert (DEPLOY / services["only1mcp"]["build"]["context"] / "deploy/Dockerfile").is_file()
    assert ENVIRON.keys() == services["only1mcp"]["environment"].keys()
    assert [*services["prometheus"]["environment"]] == ["ONLY1MCP_METRICS_TOKEN"]
    (prometheus,) = documents("prometheus.yml")
    (scrape,) = prometheus["scrape_configs"]
    written = (
        f'printf %s "$$ONLY1MCP_METRICS_TOKEN" > {scrape["authorization"]["credentials_file"]}'
    )
    assert written in services["prometheus"]["entrypoint"][2]
    (target,) = scrape["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in services and port == "8080"
    config = load(DEPLOY / "only1mcp.yaml", ENVIRON).config
    assert host in config.server.allowed_hosts


def test_the_image_has_the_versions_that_are_tested() -> None:
    tested = dict(PINNED.findall((ROOT / "requirements.lock").read_text()))
    shipped = dict(PINNED.findall((DEPLOY / "requirements.lock").read_text()))
    assert shipped.items() <= tested.items()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[^A-Za-z0-9._-]", one)[0].lower().replace(".", "-") for one in wanted} <= {
        *shipped
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "only1mcp.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    program, *arguments = shlex.split(start)
    assert arguments[0] == "run"
    unit = tmp_path / "only1mcp.service"
    unit.write_text(text.replace(program, sys.executable))
    verify = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stderr) == (0, "")


QUERY_NAME: Final = re.compile(r"\b((?:only1mcp|mcp|process)_[a-z_]+)")
QUERY_LABELS: Final = re.compile(r"by \(([a-z_, ]+)\)|\{\{([a-z_]+)\}\}|\{([a-z_]+)=")


def described() -> dict[str, set[str]]:
    """Metric -> its labels, as docs/metrics.md has them; a test of its own holds that page true."""
    found = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 5 and cells[1].startswith("`"):
            name, labels = cells[1].strip("`"), set(re.findall(r"`(\w+)`", cells[3]))
            found[name] = labels
            if cells[2] == "histogram":
                found |= {f"{name}_{end}": labels | {"le"} for end in ("bucket", "sum", "count")}
    return found


def test_every_query_of_the_dashboard_is_answered() -> None:
    metrics = described()
    dashboard = json.loads((DEPLOY / "grafana/only1mcp.json").read_text())
    targets = [target for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(targets) > 20
    for target in targets:
        names = set(QUERY_NAME.findall(target["expr"]))
        assert names and names <= metrics.keys(), target["expr"]
        labels = set().union(*(metrics[name] for name in names))
        asked = QUERY_LABELS.findall(target["expr"] + target["legendFormat"])
        used = {one.strip() for found in asked for one in ",".join(found).split(",")} - {""}
        assert used <= labels, (target["expr"], used - labels)
