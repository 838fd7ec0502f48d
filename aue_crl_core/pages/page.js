for (const figure of document.querySelectorAll("figure.drawn")) {
  const image = figure.querySelector("img"), name = figure.id, links = figure.querySelector(".save");
  const add = (kind, href) => {
    const link = Object.assign(document.createElement("a"), {textContent: kind, download: name + "." + kind, href});
    links.append(link);
    return link;
  };
  links.append("save");
  add("svg", image.src);
  const png = add("png", "");
  png.onclick = (event) => {
    if (!event.isTrusted) return;
    event.preventDefault();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.naturalWidth; canvas.height = 2 * image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    png.href = canvas.toDataURL(); png.click();
  };
}
