(function () {
  "use strict";
  var controls = document.getElementById("viewer-controls");
  if (!controls) { return; }
  var subjects = JSON.parse(document.getElementById("viewer-volumes").textContent);
  var canvas = document.getElementById("viewer-canvas");
  var message = document.getElementById("viewer-message");
  var place = document.getElementById("viewer-place");
  var unit = place.dataset.unit ? " " + place.dataset.unit : "";
  var nv = null, shown = 0;

  function fill(select, volumes, first) {
    var before = select.value;
    select.replaceChildren();
    (first ? [{ name: first, id: "" }] : []).concat(volumes).forEach(function (volume) {
      var option = new Option(volume.name, volume.id);
      option.selected = volume.name === before;
      select.add(option);
    });
  }

  function image(volume, overlay) {
    return niivue.NVImage.loadFromBase64({
      base64: document.getElementById(volume.id).textContent.trim(),
      name: volume.name + ".nii.gz",
      colormap: volume.colours,
      opacity: overlay ? Number(controls.elements.opacity.value) : 1,
      // Small errors are see-through, so that the anatomy stays to be seen.
      cal_min: overlay ? volume.low + 0.15 * (volume.high - volume.low) : volume.low,
      cal_max: volume.high
    });
  }

  async function show() {
    var turn = ++shown;
    var subject = subjects[Number(controls.elements.subject.value)];
    var chosen = [controls.elements.base.value, controls.elements.overlay.value]
      .map(function (id) { return subject.volumes.find(function (v) { return v.id === id; }); })
      .filter(Boolean);
    var images = await Promise.all(chosen.map(function (v) { return image(v, v.overlay); }));
    if (turn !== shown) { return; }
    while (nv.volumes.length) { nv.removeVolume(nv.volumes[nv.volumes.length - 1]); }
    images.forEach(function (one) { nv.addVolume(one); });
    nv.setSliceType(Number(controls.elements.view.value));
    cut();
    canvas.dataset.shown = chosen.map(function (v) { return v.name; }).join(" + ");
    message.textContent = "";
  }

  // In 3D a plane cuts the volume open, half-way to begin with.
  function cut() {
    var solid = controls.elements.view.value === "4";
    var names = ["cut", "side"];
    names.forEach(function (name) { controls.elements[name].parentNode.hidden = !solid; });
    var turn = controls.elements.side.value.split(",").map(Number);
    nv.setClipPlane(solid ? [Number(controls.elements.cut.value), turn[0], turn[1]] : [2, 0, 0]);
  }

  function words(where) {
    var at = Array.from(where.mm).slice(0, 3).map(function (v) { return v.toFixed(1); });
    var told = ["x " + at[0] + ", y " + at[1] + ", z " + at[2] + " mm"];
    (where.values || []).forEach(function (one, number) {
      var name = (nv.volumes[number] || { name: "" }).name.replace(".nii.gz", "");
      told.push(name + " " + Number(one.value.toPrecision(4)) + unit);
    });
    return told.join(" · ").replace(/-/g, "\u2212");
  }

  function choose() {
    var subject = subjects[Number(controls.elements.subject.value)];
    var names = { base: controls.elements.base, overlay: controls.elements.overlay };
    var wanted = {};
    Object.keys(names).forEach(function (key) {
      var option = names[key].selectedOptions[0];
      wanted[key] = option ? option.text : "";
    });
    fill(names.base, subject.volumes.filter(function (v) { return !v.overlay; }));
    fill(names.overlay, subject.volumes.filter(function (v) { return v.overlay; }), "none");
    Object.keys(names).forEach(function (key) {
      Array.from(names[key].options).forEach(function (option) {
        if (option.text === wanted[key]) { option.selected = true; }
      });
    });
    return show();
  }

  async function start() {
    if (nv) { return; }
    try {
      nv = new niivue.Niivue({
        backColor: [0, 0, 0, 1], show3Dcrosshair: true,
        crosshairColor: [1, 0.75, 0.2, 0.8], crosshairWidth: 0.5, crosshairWidthUnit: "mm",
        isResizeCanvas: true, dragAndDropEnabled: false, scrollRequiresFocus: true,
        logLevel: "error", loadingText: "",
        onLocationChange: function (where) { place.textContent = words(where); }
      });
      await nv.attachToCanvas(canvas);
      await choose();
      canvas.dataset.ready = "yes";
    } catch (error) {
      message.textContent = "This browser cannot show volumes (WebGL 2 is needed); " +
        "the pictures below are of the same subjects.";
      controls.disabled = true;
    }
  }

  subjects.forEach(function (subject, number) {
    controls.elements.subject.add(new Option(subject.name, String(number)));
  });
  controls.elements.subject.addEventListener("change", choose);
  ["base", "overlay", "view"].forEach(function (name) {
    controls.elements[name].addEventListener("change", show);
  });
  ["cut", "side"].forEach(function (name) {
    controls.elements[name].addEventListener("input", function () { if (nv) { cut(); } });
  });
  controls.elements.opacity.addEventListener("input", function () {
    if (nv && nv.volumes.length > 1) { nv.setOpacity(1, Number(this.value)); }
  });
  document.querySelectorAll("[data-open-subject]").forEach(function (link) {
    link.addEventListener("click", function () {
      controls.elements.subject.value = link.dataset.openSubject;
      if (nv) { choose(); }
    });
  });
  // Volumes are unpacked when the viewer comes into sight.
  if ("IntersectionObserver" in window) {
    var observer = new IntersectionObserver(function (entries) {
      if (entries.some(function (entry) { return entry.isIntersecting; })) {
        observer.disconnect();
        start();
      }
    }, { rootMargin: "200px" });
    observer.observe(canvas);
  } else {
    start();
  }
}());
