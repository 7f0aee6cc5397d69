// The upload page: files can be dropped, and what the server would refuse for its size or number is said at once.
{
  const form = document.querySelector("form[data-upload]");
  const input = form.querySelector("input[type=file]");
  const zone = form.querySelector(".drop-zone");
  const list = form.querySelector("[data-chosen]");
  const maxFiles = Number(input.dataset.maxFiles);
  const maxBytes = Number(input.dataset.maxBytes);
  const rounded = (number) => number.toLocaleString("en", { maximumSignificantDigits: 3 });
  const inWords = (bytes) => bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} kB` : `${rounded(bytes / 2 ** 20)} MB`;

  const item = (file) => {
    const line = document.createElement("li");
    const tooLarge = file.size > maxBytes;
    line.textContent = `${file.name}, ${inWords(file.size)}${tooLarge ? `: larger than ${inWords(maxBytes)}` : ""}`;
    line.className = tooLarge ? "text-danger" : "";
    return line;
  };

  const show = () => {
    const files = [...input.files];
    list.replaceChildren(...files.map(item));
    const tooMany = files.length > maxFiles;
    input.setCustomValidity(tooMany ? `At most ${maxFiles} files can be uploaded at once.` : "");
    if (tooMany) input.reportValidity();
  };

  input.addEventListener("change", show);

  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    zone.addEventListener(name, () => zone.classList.remove("is-over"));
  }
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    show();
  });
}
