"""Help texts, versions, and words that a command does not understand."""

from .. import inputs
from ..bench import Bench, scenario
from .evaluation import brains
from .inference import head_file, models, photo, tensor_file

__all__: list[str] = []

COMMANDS = ("train", "infer", "evaluate", "export", "slicer")


@scenario("help")
def _help(bench: Bench) -> None:
    for command in COMMANDS:
        bench.run(f"{command} --help", command, "--help")
        bench.run(f"{command} --version", command, "--version")
        bench.run(f"{command} without words", command)
        bench.run(f"{command} --unknown", command, "--unknown")
        bench.run(f"{command} abbreviated", command, "--ver")
    for command in ("scene", "install"):
        bench.run(f"slicer {command} --help", "slicer", command, "--help")
        bench.run(f"slicer {command} alone", "slicer", command)
    bench.run("schema", "train", "--print-schema")


@scenario("words of train")
def _train(bench: Bench) -> None:
    file = bench.make("file", lambda path: inputs.save_text(path, "occupied\n"))
    photos = bench.make("holiday", lambda path: inputs.save_text(path / "photo.txt", "sun\n"))
    path = "pipelines/dti_low.yaml"
    bench.play("train dti_low")
    cases = {
        "no pipeline": ["model.width=16"], "resume nothing": ["--resume"],
        "resume nowhere": ["--resume", "--output", "nowhere"],
        "both": [path, "--resume", "--overwrite"],
        "output is a file": [path, "--output", file],
        "output below a file": [path, "--output", file / "run"],
        "output is no run": [path, "--output", photos, "--overwrite"],
        "device": [path, "--device", "gpu"],
        "seed": [path, "--seed", "x"], "abbreviated": [path, "--out", "x"],
        "two pipelines": [path, path], "folder": ["data"],
    }  # fmt: skip
    for label, words in cases.items():
        bench.run(label, "train", *words)
    for name in ("first.yaml", "second.yaml"):
        file = bench.make(f"kitchen/{name}", lambda p: inputs.save_text(p, "name: x\n"))
    for name in ("nowhere.yaml", "frist.yaml", "third/first.yaml"):
        bench.run(name, "train", name, cwd=file.parent)


#: Overrides that no pipeline allows.
OVERRIDES = (
    ["model.widht=3", "training.precision=fp16"], ["model.width=wide"], ["model.width=1"],
    ["model.depth=-1"], ["data.kind=ct"], ["method.kind=gan"], ["model.kind=vit"],
    ["training.epochs=2", "training.steps=2"], ["training.steps=0"], ["training.steps=null"],
    ["data.patches.size=9"], ["data.patches.min_brian=0.1"], ["data.patches={size: 8"],
    ["data.degradation.factor=1"], ["data.degradation.factor=3"], ["data.split.test=-1"],
    ["method.optimizer.lr=0"], ["method.optimizer.lr=fast"], ["method.optimizer.betas=[0.5]"],
    ["method.inverse_share=0"], ["model.kind=involution"], ["model.kind=unet"],
    ["model.spatial_dims=2"], ["method.kind=segmentation"], ["method.kind=self_inverse"],
    ["model.downsamplings=7"], ["training.schedule.kind=steps"], ["training.ema=1"],
    ["name=a/b"], ["name="], ["data=3"], ["=3"], ["data.root"], ["seed=1.5"], ["data.batch_size=0"],
    ["inference.max_memory=0"], ["evaluation.interior=4"], ["evaluation.baselines=[lanczos]"],
    ["data.augmentation.artefacts.motion=0.5"], ["model.core=ode", "model.coupling=affine"],
    ["method.consensus_weight=1", "method.adversarial_weight=1"], ["model.exact=true"],
    ["extends=other.yaml"], ["data.scale=-1"], ["data.tensor_order=camino"],
)  # fmt: skip
#: Texts that are no pipelines.
DOCUMENTS = {
    "empty": "", "list": "- a\n- b\n", "text": "hello\n", "tabs": "name:\tx\n\tdata: 3\n",
    "half": "name: x\n", "twice": "name: x\nname: y\n", "alias": "name: &a x\nseed: *a\n",
    "tag": "name: !!python/object:os.system x\n", "extends nothing": "extends: none.yaml\n",
    "extends itself": "extends: extends_itself.yaml\nname: x\n", "binary": "name: \x00\n",
}  # fmt: skip


@scenario("pipelines that are wrong")
def _pipelines(bench: Bench) -> None:
    bench.play("train dti_low")
    for words in OVERRIDES:
        bench.run(" ".join(words), "train", "pipelines/dti_low.yaml", *words, "--dry-run")
    for label, text in DOCUMENTS.items():
        name = label.replace(" ", "_")
        path = bench.make(f"pipelines/{name}.yaml", lambda p, t=text: inputs.save_text(p, t))
        bench.run(label, "train", path, "--dry-run")


@scenario("words of infer")
def _infer(bench: Bench) -> None:
    tensor, head, picture = tensor_file(bench), head_file(bench), photo(bench)
    low, flat = models(bench, "dti_low"), models(bench, "contrast_2d")
    deep, images = models(bench, "contrast_3d"), models(bench, "images_paired")
    folder = bench.make("empty/notes.txt", lambda p: inputs.save_text(p, "mine\n")).parent
    fcn = models(bench, "segmentation")
    cases = {
        "direction": [tensor, *low, "--direction", "back"],
        "order": [tensor, *low, "--tensor-order", "x"],
        "ensemble 3": [tensor, *low, "--ensemble", "3"],
        "memory": [tensor, *low, "--max-memory", "0"],
        "memory text": [tensor, *low, "--max-memory", "x"],
        "device": [tensor, *low, "--device", "tpu"],
        "engine": [tensor, *low, "--engine", "tensorrt"],
        "spacing": [tensor, *low, "--spacing", "x"],
        "mask of two": [tensor, tensor, *low, "--mask", "m.nii"],
        "bval of cohort": [folder, *low, "--bval", "b"],
        "participant of one": [tensor, *low, "--participant", "01"],
        "workers 0": [tensor, *low, "--workers", "0"], "retries": [tensor, *low, "--retries", "-1"],
        "cluster": [tensor, *low, "--cluster", "k8s"],
        "scheduler and workers": [tensor, *low, "--scheduler", "x:1", "--workers", "2"],
        "model nowhere": [tensor, "--model", "nowhere"],
        "model folder": [tensor, "--model", folder],
        "models of two kinds": [tensor, *low, *flat], "models of two factors": [tensor, *low,
            *models(bench, "contrast_3d")],
        "missing": ["none.nii.gz", *low], "folder": [folder, *low], "nowhere": ["nowhere", *low],
        "image to tensors": [picture, *low], "head to tensors": [head, *low],
        "tensors to contrast": [tensor, *flat], "image to contrast": [picture, *flat],
        "head to images": [head, *images], "tensors to images": [tensor, *images],
        "ensemble 8 in 2D": [head, *flat, "--ensemble", "8"],
        "ensemble 24 in 3D": [head, *deep, "--ensemble", "24"],
        "frame of contrast": [head, *flat, "--tensor-frame", "ras"],
        "spacing of contrast": [head, *flat, "--spacing", "train"],
        "engine of contrast": [head, *flat, "--engine", "openvino"],
        "precision of contrast": [head, *flat, "--precision", "bfloat16"],
        "mask of images": [picture, *images, "--mask", head],
        "format of images": [picture, *images, "--format", "nrrd"],
        "ensemble of images": [picture, *images, "--ensemble", "2"],
        "cycle of images": [picture, *images, "--cycle-residual"],
        "slicer of images": [picture, *images, "--slicer"],
        "two models of images": [picture, *images, *images],
        "order of images": [picture, *images, "--tensor-order", "fsl"],
        "inverse of segmentation": [picture, *fcn, "--direction", "inverse"],
        "spacing of images": [picture, *images, "--spacing", "auto"],
        "no images": [folder, *images], "no heads": [folder, *flat],
        "bval alone": [tensor, *low, "--bval", tensor],
        "openvino bfloat16": [tensor, *low, "--engine", "openvino", "--precision", "bfloat16"],
    }  # fmt: skip
    for label, words in cases.items():
        bench.run(label, "infer", *words, "--output", f"out/words/{label}")
    bench.run("no model", "infer", tensor, cwd=folder)
    occupied = bench.make("file", lambda path: inputs.save_text(path, "occupied\n"))
    for label, output in (("file", occupied), ("below a file", occupied / "below")):
        bench.run(f"output {label}", "infer", tensor, *low, "--output", output)


@scenario("words of evaluate")
def _evaluate(bench: Bench) -> None:
    root = brains(bench)
    a, b, ref = root / "a", root / "b", ["--reference", root / "ref"]
    file = bench.make("file", lambda path: inputs.save_text(path, "occupied\n"))
    empty = bench.make("empty/notes.txt", lambda p: inputs.save_text(p, "mine\n")).parent
    for name in ("dti_low", "images_paired", "images_unpaired", "segmentation", "contrast_2d"):
        bench.play(f"train {name}")
    bench.play("evaluate folders")
    run, pictures = "runs/dti_low", "runs/images_paired"
    cases = {
        "nowhere": ["nowhere", *ref], "no reference": [a],
        "reference nowhere": [a, "--reference", "x"],
        "mask nowhere": [a, *ref, "--mask", "x"], "empty": [empty, *ref],
        "workers": [a, *ref, "--workers", "0"], "retries": [a, *ref, "--retries", "-1"],
        "embed": [a, *ref, "--embed", "-1"], "ensemble": [a, *ref, "--ensemble", "49"],
        "memory": [a, *ref, "--memory", "0"], "range": [a, *ref, "--range", "-1"],
        "interior": [a, *ref, "--interior", "4"], "baselines": [a, *ref, "--baselines", "lanczos"],
        "resume and overwrite": [a, *ref, "--resume", "--overwrite"],
        "cluster": [a, *ref, "--cluster", "k8s"],
        "scheduler": [a, *ref, "--scheduler", "x:1", "--workers", "2"],
        "group": [a, *ref, "--group", "scanner"], "sensitivity": [a, *ref, "--sensitivity", "x"],
        "direction": [a, *ref, "--direction", "inverse"], "fcn": [a, *ref, "--fcn", "nowhere"],
        "paper table": [a, *ref, "--paper-table", "revgan-9"],
        "colours": [a, *ref, "--label-colours", "voc"],
        "twice": [a, a, *ref], "uncertainty of two": [a, b, *ref, "--uncertainty", root / "std"],
        "participants": [a, *ref, "--participants", "nowhere.tsv"],
        "output is a file": [a, *ref, "--output", file],
        "run and reference": [run, *ref], "run and folder": [run, a],
        "run of no data": [run, "--data", "nowhere"], "part": [run, "--part", "all"],
        "runs of two kinds": [run, pictures], "ensemble of images": [pictures, "--ensemble", "4"],
        "images without pairs": ["runs/images_unpaired"],
        "inverse of segmentation": ["runs/segmentation", "--direction", "inverse"],
        "sensitivity of no run": [pictures, "--sensitivity", "cyclegan"],
        "fcn that is none": [pictures, "--direction", "inverse", "--fcn", pictures],
        "inverse of tensors": [run, "--direction", "inverse"],
        "finished without a table": ["out/eval/one", "out/eval/two"],
        "paper of a run": [run, "--paper-table", "one2one-2"],
    }  # fmt: skip
    for label, words in cases.items():
        out = [] if "--output" in words else ["--output", f"out/words/evaluate {label}"]
        bench.run(label, "evaluate", *words, *out)
    tables = {
        "listed twice": "id,reference,prediction\nx,r,p\ny,r,p\nx,r,q\n",
        "no identifier": "name,reference,prediction\nx,r,p\n",
        "no reference": "id,prediction\nx,p\n", "no prediction": "id,reference\nx,r\n",
        "empty name": "id,reference,prediction\n,r,p\n", "empty": "",
        "no rows": "id,reference,prediction\n", "no files": "id,reference,prediction\nx,r,p\n",
        "a bad name": "id,reference,prediction\n../x,r.nii,p.nii\n",
    }  # fmt: skip
    for label, text in tables.items():
        name = f"tables/{label.replace(' ', '_')}.csv"
        path = bench.make(name, lambda p, t=text: inputs.save_text(p, t))
        bench.run(f"table {label}", "evaluate", path, "--output", f"out/words/table {label}")
    path = bench.root / "data/tables/no_files.csv"
    bench.run("table and reference", "evaluate", path, *ref)


@scenario("words of slicer")
def _slicer(bench: Bench) -> None:
    tensor, low = tensor_file(bench), models(bench, "dti_low")
    quiet = ["--no-quick-look", "--precision", "float32", "--output", "out/scene/results"]
    bench.run("results", "infer", tensor, *low, *quiet, "--ensemble", "2")
    bench.run("scene", "slicer", "scene", "out/scene/results", "--output", "out/scene/a.mrb")
    bench.run("exists", "slicer", "scene", "out/scene/results", "--output", "out/scene/a.mrb")
    bench.run("layout", "slicer", "scene", "out/scene/results", "--overwrite", "--layout",
              "side-by-side", "--output", "out/scene/a.mrb")  # fmt: skip
    bench.run("default name", "slicer", "scene", "out/scene/results")
    bench.run("modules", "slicer", "install", "out/scene/modules", "--model", "runs/dti_low")
    bench.run("modules exist", "slicer", "install", "out/scene/modules")
    for label, words in {
        "missing": ["scene", "missing"],
        "no such name": ["scene", "out/scene/results", "--name", "x"],
        "no input": ["scene", "out/scene/results", "--input", "missing.nii",
                     "--output", "b.mrb"],
        "zip": ["scene", "out/scene/results", "--output", "a.zip"],
        "layout 3": ["scene", "out/scene/results", "--layout", "3"], "show": ["show"],
        "no results": ["scene", "data/empty"], "no model": ["install", "m", "--model", "missing"],
        "python": ["install", "m", "--python", "missing"],
    }.items():  # fmt: skip
        bench.run(label, "slicer", *words)
