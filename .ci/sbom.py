"""Writes a software bill of materials (CycloneDX 1.6, JSON) for each Lambda function, from what Cargo has locked.

A function's bill has what is linked into it on Linux: its normal dependencies, and theirs, with licence, checksum
and package URL. What only builds or tests it is not in it, nor what only other members of the workspace need.

    python sbom.py DIRECTORY
"""

import json
import pathlib
import subprocess
import sys
import tomllib

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = pathlib.Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
# Both architectures that template.yaml offers have the same dependencies.
PLATFORM = "aarch64-unknown-linux-gnu"


def cargo_metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def checksums():
    """SHA-256 of each package from the registry, by name and version."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def component(package, checksum, kind=ComponentType.LIBRARY):
    # Older packages separate alternatives by a slash, which is not SPDX.
    licence = (package["license"] or "").replace("/", " OR ").replace("  OR  ", " OR ")
    if not licence:
        sys.exit(f"{package['name']} {package['version']} names no licence")
    if package["source"] not in (None, REGISTRY):
        sys.exit(f"{package['name']} {package['version']} comes from {package['source']}")
    url = PackageURL("cargo", name=package["name"], version=package["version"])
    return Component(
        bom_ref=str(url),
        type=kind,
        name=package["name"],
        version=package["version"],
        purl=url,
        licenses=[LicenseExpression(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def linked(function):
    """Name and version of everything that is linked into a function that is built alone."""
    command = ["cargo", "tree", "--locked", "-p", function["name"], "--target", PLATFORM]
    command += ["-e", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {(words[0], words[1].removeprefix("v")) for words in map(str.split, lines)}


def bill(function, packages, nodes, sums):
    wanted = linked(function)
    components = {}
    for identity, package in packages.items():
        key = (package["name"], package["version"])
        if key in wanted:
            kind = ComponentType.APPLICATION if package is function else ComponentType.LIBRARY
            components[identity] = component(package, sums.get(key), kind)
    if len(components) != len(wanted):
        sys.exit(f"{function['name']} links packages that its metadata does not have")
    bom = Bom()
    bom.metadata.component = components[function["id"]]
    for identity, entry in components.items():
        if identity != function["id"]:
            bom.components.add(entry)
        needed = [components[other] for other in nodes[identity]["dependencies"] if other in components]
        bom.register_dependency(entry, needed)
    return bom


def main(directory):
    metadata = cargo_metadata()
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    sums = checksums()
    functions = [
        packages[member]
        for member in metadata["workspace_members"]
        if pathlib.Path(packages[member]["manifest_path"]).parent.parent == ROOT / "functions"
    ]
    directory.mkdir(parents=True, exist_ok=True)
    for function in functions:
        text = JsonV1Dot6(bill(function, packages, nodes, sums)).output_as_string(indent=2)
        fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if fault:
            sys.exit(f"the bill of {function['name']} is not CycloneDX: {fault}")
        path = directory / f"{function['name']}.cdx.json"
        path.write_text(text + "\n")
        print(path, len(json.loads(text)["components"]), "components")


main(pathlib.Path(sys.argv[1]))
