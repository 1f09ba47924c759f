(function () {
  "use strict";
  var controls = document.getElementById("viewer-controls");
  if (!controls) { return; }
  var subjects = JSON.parse(document.getElementById("viewer-volumes").textContent);
  var canvas = document.getElementById("viewer-canvas");
  var message = document.getElementById("viewer-message");
  var place = document.getElementById("viewer-place");
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
      // Small errors are see-through.
      cal_min: overlay ? volume.low + 0.06 * (volume.high - volume.low) : volume.low,
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
    canvas.dataset.shown = chosen.map(function (v) { return v.name; }).join(" + ");
    message.textContent = "";
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
        onLocationChange: function (where) { place.textContent = where.string; }
      });
      await nv.attachToCanvas(canvas);
      await choose();
      if (controls.elements.overlay.options.length > 1) {
        controls.elements.overlay.selectedIndex = 1;
        await show();
      }
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
