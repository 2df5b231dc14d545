"""Generators and data sets to a hub and back, against a stand-in of its HTTP surface on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import pickle
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

import datasets
import huggingface_hub
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import synthaug
from synthaug import Classes, push
from synthaug.cli import main
from synthaug.errors import HubError, InvalidArtifact, InvalidData, InvalidRequest, UnsupportedKind
from synthaug.families import FAMILIES
from synthaug.files import Place, write_samples
from synthaug.generators import MANIFEST

load = partial(synthaug.load, device="cpu")


@dataclass
class Hub:
    """What the stand-in holds: repositories by "models/owner/name", and who asked for what."""

    address: str = ""
    repos: dict = field(default_factory=dict)
    private: dict = field(default_factory=dict)
    commits: int = 0
    tokens: set = field(default_factory=set)
    asked: list = field(default_factory=list)

    def files(self, kind, name):
        return self.repos[f"{kind}/{name}"]

    def sha(self, key):
        text = repr(sorted((k, hashlib.sha1(v).hexdigest()) for k, v in self.repos[key].items()))
        return hashlib.sha1(text.encode()).hexdigest()


def handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def answer(self, body=b"", status=200, **headers):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def missing(self, code):
            self.answer({"error": code}, 404, X_Error_Code=code, X_Error_Message=code)

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlparse(self.path).path.strip("/").split("/")
            hub.asked.append(self.path)
            hub.tokens.add(self.headers.get("Authorization"))
            if parts == ["api", "repos", "create"]:
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}"
                key = f"{asked.get('type', 'model')}s/{name}"
                hub.private[key] = asked.get("visibility") or asked.get("private")
                if key in hub.repos:
                    return self.answer({"error": "exists", "url": f"{hub.address}/{name}"}, 409)
                hub.repos[key] = {}
                return self.answer({"url": f"{hub.address}/{name}", "name": name})
            if parts[1] == "validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            key = "/".join(parts[1:4])
            if key not in hub.repos:
                return self.missing("RepoNotFound")
            if parts[4] == "preupload":
                named = [file["path"] for file in json.loads(body)["files"]]
                files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in named]
                return self.answer({"files": files})
            assert parts[4] == "commit", self.path
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.repos[key][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            hub.commits += 1
            return self.answer(
                {"commitUrl": f"{hub.address}/{key}", "commitOid": hub.sha(key), "success": True}
            )

        def do_GET(self):
            hub.asked.append(self.path)
            hub.tokens.add(self.headers.get("Authorization"))
            parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
            if parts[0] == "api":
                key = "/".join(parts[1:4])
                if key not in hub.repos:
                    return self.missing("RepoNotFound")
                files, sha = hub.repos[key], hub.sha(key)
                if "revision" in parts and parts[5] not in ("main", sha):
                    return self.missing("RevisionNotFound")
                if "tree" in parts:
                    oids = {name: hashlib.sha1(data).hexdigest() for name, data in files.items()}
                    rows = [
                        {"type": "file", "path": k, "size": len(v), "oid": oids[k]} for k, v in files.items()
                    ]
                    return self.answer(rows)
                siblings = [{"rfilename": name} for name in files]
                return self.answer({"id": "/".join(parts[2:4]), "sha": sha, "siblings": siblings, "tags": []})
            key = "/".join(parts[:3]) if parts[0] == "datasets" else "models/" + "/".join(parts[:2])
            file = "/".join(parts[parts.index("resolve") + 2 :])
            if file not in hub.repos.get(key, {}):
                return self.missing("EntryNotFound")
            data = hub.repos[key][file]
            etag = '"' + hashlib.sha1(data).hexdigest() + '"'
            return self.answer(data, ETag=etag, X_Repo_Commit=hub.sha(key))

        do_HEAD = do_GET

    return Handler


def forget():
    """Closes the connections of huggingface_hub, by the name that it has since 1.0 or the one before."""
    since = getattr(huggingface_hub, "close_session", None)
    (since or huggingface_hub.utils.reset_sessions)()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(found))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", found.address)
    template = found.address + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, huggingface_hub.file_download):  # which had a copy of it before 1.0
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    forget()  # the next one asks anew whether it is offline
    yield found
    server.shutdown()
    server.server_close()
    forget()


@pytest.fixture(scope="module")
def generator(shapes):
    return synthaug.fit(shapes, "cgan", steps=2, seed=4, device="cpu", progress=False)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "disabled", True)
    huggingface_hub.utils.disable_progress_bars()


def same(a, b):
    return (a.sample(3, seed=1).samples == b.sample(3, seed=1).samples).all()


def test_a_generator_goes_to_the_hub_and_comes_back_the_same(hub, generator, tmp_path, monkeypatch):
    address = push(generator, "me/gen", license="cc-by-4.0", private=True, token="hf_secret")
    assert address == f"{hub.address}/me/gen"
    assert hub.private["models/me/gen"] in ("private", True)
    assert "Bearer hf_secret" in hub.tokens
    files = hub.files("models", "me/gen")
    generator.save(tmp_path / "gen")
    assert set(files) == {*json.loads(files[MANIFEST])["files"], MANIFEST, "README.md"}
    assert files["weights.safetensors"] == (tmp_path / "gen" / "weights.safetensors").read_bytes()
    monkeypatch.chdir(tmp_path)
    back = load("me/gen", token="hf_other")
    assert "Bearer hf_other" in hub.tokens
    assert back.fingerprint == generator.fingerprint
    assert same(back, generator)
    assert back.classes == generator.classes


def test_pushing_again_replaces_what_is_there(hub, generator):
    push(generator, "me/gen")
    push(generator, "me/gen", license="mit")
    card = huggingface_hub.ModelCard(hub.files("models", "me/gen")["README.md"].decode())
    assert card.data.license == "mit"
    assert hub.commits == 2


def test_the_model_card_says_what_a_reader_has_to_know(hub, generator):
    push(generator, "me/gen")
    card = huggingface_hub.ModelCard(hub.files("models", "me/gen")["README.md"].decode())
    assert card.data.library_name == "synthaug"
    assert {"synthaug", "synthetic"} <= set(card.data.tags)
    assert card.data.license is None
    for said in (
        "cgan",
        "on 120 labelled images",
        "| lying | 60 |",
        "2 steps with seed 4",
        generator.fingerprint,
        "Training rows in these files: no",
        "Licence: not stated",
        'synthaug.load("me/gen")',
        "HW 12x10 uint8",
    ):
        assert said in card.text, said


def test_a_licence_stands_in_header_and_text(hub, generator):
    push(generator, "me/gen", license="cc-by-4.0")
    text = hub.files("models", "me/gen")["README.md"].decode()
    assert huggingface_hub.ModelCard(text).data.license == "cc-by-4.0"
    assert "- Licence: cc-by-4.0" in text
    assert text.count("license:") == 1


def test_the_command_line_pushes_and_samples_from_the_hub(hub, generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator.save(tmp_path / "gen")
    dry = CliRunner().invoke(main, ["push", "gen", "me/gen", "--dry-run"])
    assert (dry.exit_code, hub.asked) == (0, [])
    done = CliRunner().invoke(main, ["push", "gen", "me/gen", "--private", "--json"])
    assert json.loads(done.stdout) == {"pushed": "gen", "to": f"{hub.address}/me/gen"}
    made = CliRunner().invoke(main, ["sample", "me/gen", "--per-class", "2", "--out", "made.npz"])
    assert made.exit_code == 0, made.output
    with np.load("made.npz") as rows:
        assert (rows["X"] == generator.sample(2).samples).all()
    refused = CliRunner().invoke(main, ["push", "gen", "gen"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert 'A repository is called "owner/name"' in refused.stderr


def test_a_revision_can_be_asked_for_by_its_commit(hub, generator):
    push(generator, "me/gen")
    sha = hub.sha("models/me/gen")
    assert load("me/gen", revision=sha).fingerprint == generator.fingerprint
    with pytest.raises(HubError, match=r'Cannot load "me/gen".*Check the revision'):
        load("me/gen", revision="v9")


def test_a_folder_of_that_name_comes_first_and_a_mistyped_path_asks_no_hub(
    hub, generator, tmp_path, monkeypatch
):
    generator.save(tmp_path / "me" / "gen")
    monkeypatch.chdir(tmp_path)
    assert same(load("me/gen"), generator)
    with pytest.raises(InvalidArtifact, match="the folder is not there"):
        load("me/gne")
    with pytest.raises(InvalidArtifact, match="the folder is not there"):
        load("gne")
    with pytest.raises(InvalidRequest, match=r'revision="v1" was asked for, but me/gen is a folder'):
        load("me/gen", revision="v1")
    assert hub.asked == []


def test_a_saved_generator_that_contains_training_rows_leaves_only_when_that_is_said(hub, shapes, tmp_path):
    keeper = next(name for name, family in FAMILIES.items() if family.keeps_rows)
    synthaug.fit(shapes, keeper, steps=2, out=tmp_path / "gen", device="cpu", progress=False)
    with pytest.raises(InvalidRequest, match=r"contain training rows\. Pass include_rows=True"):
        push(tmp_path / "gen", "me/gen")
    assert hub.asked == []
    push(tmp_path / "gen", "me/gen", include_rows=True)
    assert "weights.safetensors" in hub.files("models", "me/gen")


@pytest.mark.parametrize(
    ("family", "options"),
    [
        *((name, {}) for name, family in FAMILIES.items() if family.keeps_rows),
        ("cvae", {"sampling": "posterior"}),
        ("cvae", {"sampling": "interpolation"}),
    ],
)
def test_families_that_keep_rows_are_refused_and_come_back_the_same_where_it_is_said(
    hub, shapes, family, options
):
    made = synthaug.fit(shapes, family, options=options, steps=2, device="cpu", progress=False)
    assert made.about.contains_training_rows
    with pytest.raises(InvalidRequest, match=r"contain training rows\. Pass include_rows=True"):
        push(made, "me/keeper")
    push(made, "me/keeper", include_rows=True)
    assert same(load("me/keeper"), made)
    assert same(pickle.loads(pickle.dumps(made)), made)


def test_only_the_files_of_a_generator_leave_and_no_path_of_this_machine(hub, shapes, tmp_path):
    np.savez(tmp_path / "secret.npz", X=shapes[0], y=shapes[1])
    synthaug.fit(tmp_path / "secret.npz", "cvae", steps=1, device="cpu", progress=False).save(
        tmp_path / "gen"
    )
    (tmp_path / "gen" / "notes.txt").write_text("mine")
    push(tmp_path / "gen", "me/gen")
    files = hub.files("models", "me/gen")
    assert "notes.txt" not in files
    assert not any(str(tmp_path).encode() in content for content in files.values())


def test_changed_files_are_not_pushed(hub, generator, tmp_path):
    generator.save(tmp_path / "gen")
    (tmp_path / "gen" / "weights.safetensors").write_bytes(b"else")
    with pytest.raises(InvalidArtifact, match="is not the file that was saved"):
        push(tmp_path / "gen", "me/gen")
    assert hub.asked == []


def test_a_generator_changed_on_the_hub_is_refused(hub, generator):
    push(generator, "me/gen")
    hub.files("models", "me/gen")["weights.safetensors"] = b"else"
    with pytest.raises(InvalidArtifact, match="is not the file that was saved"):
        load("me/gen")


def loaded(hub, name, tmp_path):
    """What `datasets.load_dataset` makes of the repository's files."""
    folder = tmp_path / "copy"
    for file, content in hub.files("datasets", name).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))


@pytest.mark.parametrize("out", ["bigger", "bigger.parquet", "saved"])
def test_an_expanded_data_set_goes_to_the_hub_with_its_card_and_recipe(hub, generator, shapes, tmp_path, out):
    np.savez(tmp_path / "mine.npz", X=shapes[0], y=shapes[1])
    source = str(tmp_path / "mine.npz")
    form = "hf" if out == "saved" else None
    path = synthaug.expand(source, generator, to="1.5x", out=tmp_path / out, format=form, progress=False)
    with pytest.raises(InvalidRequest, match=r"contains 120 real rows\. Pass include_rows=True"):
        push(path, "me/data")
    assert hub.asked == []
    assert push(path, "me/data", include_rows=True, license="mit") == f"{hub.address}/datasets/me/data"
    files = hub.files("datasets", "me/data")
    card = huggingface_hub.DatasetCard(files["README.md"].decode())
    assert {"synthetic", "synthaug"} <= set(card.data.tags)
    assert card.data.annotations_creators == ["machine-generated"]
    assert card.data.license == "mit"
    for said in ("| lying | 60 | 30 |", generator.fingerprint, "Seed: 0", "- Licence: mit", "mine.npz"):
        assert said in card.text, said
    recipe = json.loads(files["synthaug.json"])
    assert recipe["card"]["synthetic"] == {"lying": 30, "standing": 30}
    assert not any(str(tmp_path).encode() in content for content in files.values())
    rows = loaded(hub, "me/data", tmp_path)["train"]
    assert len(rows) == 180
    label = "label" if out == "bigger" else "y"
    names = rows.features[label].names if out == "bigger" else sorted(set(rows[label]))
    assert names == ["lying", "standing"]
    if out != "bigger":
        assert sum(rows["synthetic"]) == 60
    assert np.asarray(rows[0]["image" if out == "bigger" else "X"]).shape == (12, 10)


@pytest.mark.parametrize("out", ["bigger", "bigger.parquet", "saved"])
def test_splits_stay_apart_on_the_hub(hub, generator, shapes, tmp_path, out):
    splits = np.array(["train", "train", "train", "test"] * 30)
    np.savez(tmp_path / "mine.npz", X=shapes[0], y=shapes[1], split=splits)
    form = "hf" if out == "saved" else None
    to = {"lying": 70}
    source = str(tmp_path / "mine.npz")
    synthaug.expand(source, generator, to=to, out=tmp_path / out, format=form, progress=False)
    push(tmp_path / out, "me/data", include_rows=True)
    found = loaded(hub, "me/data", tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 100, "test": 30}


def test_samples_alone_leave_without_asking(hub, generator, tmp_path):
    write_samples(generator, {"lying": 3}, Place(tmp_path / "made.parquet"))
    push(tmp_path / "made.parquet", "me/made")
    assert "There are no real rows" in hub.files("datasets", "me/made")["README.md"].decode()
    assert loaded(hub, "me/made", tmp_path)["train"]["index"][:] == [0, 1, 2]


def test_a_mixed_hugging_face_set_goes_with_counts_generators_and_seeds(hub, generator, shapes, tmp_path):
    kinds = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["lying", "standing"])}
    )
    for i, image in enumerate(shapes[0][:20]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    rows = {"image": [str(tmp_path / f"{i}.png") for i in range(20)], "label": [0, 1] * 10}
    samples = replace(generator.sample(8, seed=9), classes=Classes(("lying", "standing"), (0, 1)))
    mixed = synthaug.mix(datasets.Dataset.from_dict(rows, features=kinds), samples, ratio=0.3)
    with pytest.raises(InvalidRequest, match="contains 14 real rows"):
        push(mixed, "me/mixed")
    push(datasets.DatasetDict(train=mixed), "me/mixed", include_rows=True)
    files = hub.files("datasets", "me/mixed")
    assert json.loads(files["synthaug.json"]) == {
        "real": 14,
        "synthetic": {"lying": 3, "standing": 3},
        "made_by": [{"generator": generator.fingerprint, "seed": 9}],
    }
    back = loaded(hub, "me/mixed", tmp_path)["train"]
    assert back.features == mixed.features
    for old, new in zip(mixed, back, strict=True):
        assert (np.asarray(old.pop("image")) == np.asarray(new.pop("image"))).all()
        assert old == new
    assert not any(str(tmp_path).encode() in content for content in files.values())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: "gen", InvalidData, "There is no file or folder gen"),
        (lambda path: path, InvalidData, "neither a saved generator nor a data set that synthaug wrote"),
        (lambda path: [1, 2], UnsupportedKind, "a list was given to push"),
        (
            lambda path: datasets.Dataset.from_dict({"label": [1]}),
            InvalidData,
            "holds no synthetic rows of synthaug. Push it with its own push_to_hub",
        ),
    ],
)
def test_other_things_are_not_pushed(hub, tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        push(make(tmp_path), "me/x")
    assert hub.asked == []


def test_a_name_without_owner_is_refused(hub, tmp_path):
    with pytest.raises(InvalidRequest, match='A repository is called "owner/name"'):
        push(tmp_path, "gen")


def test_a_repository_that_is_not_there_is_one_clear_error(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        HubError, match=r'Cannot load "me/nothing", which is no folder here: .*Check the name'
    ):
        load("me/nothing")


def test_offline_is_one_clear_error_at_once(generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(HubError, match=r"Cannot push to me/gen: .*HF_HUB_OFFLINE is set: unset it"):
        push(generator, "me/gen")
    with pytest.raises(HubError, match=r'Cannot load "me/gen".*HF_HUB_OFFLINE is set: unset it'):
        load("me/gen")


def test_a_hub_that_does_not_answer_is_one_clear_error(hub, generator, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"Cannot push to me/gen: .*Check the name, the network"):
        push(generator, "me/gen")


def test_a_generator_pickles_as_for_a_spawned_worker(generator):
    again = pickle.loads(pickle.dumps(generator))
    assert again.fingerprint == generator.fingerprint
    assert same(again, generator)
