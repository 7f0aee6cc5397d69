// The upload page: files can be dropped, and what the server would refuse for its size or number is said at once.
{
  const form = document.querySelector("form[data-upload]");
  const input = form.querySelector("input[name=image]");
  const folder = form.querySelector("input[name=folder]");
  const zone = form.querySelector(".drop-zone");
  const list = form.querySelector("[data-chosen]");
  const maxFiles = Number(input.dataset.maxFiles);
  const maxBytes = Number(input.dataset.maxBytes);
  const maxTotal = Number(input.dataset.maxTotal);
  const rounded = (number) => number.toLocaleString(document.documentElement.lang, { maximumSignificantDigits: 3 });
  const inWords = (bytes) => bytes < 2 ** 20 ? `${Math.ceil(bytes / 2 ** 10)} kB` : `${rounded(bytes / 2 ** 20)} MB`;
  const isArchive = (file) => /\.zip$/i.test(file.name);

  const item = (file) => {
    const line = document.createElement("li");
    const tooLarge = file.size > maxBytes && !isArchive(file);
    line.textContent = `${file.name}, ${inWords(file.size)}`;
    if (tooLarge) line.append(`: ${input.dataset.largerThan.replace("{size}", inWords(maxBytes))}`);
    line.className = tooLarge ? "text-danger" : "";
    return line;
  };

  const problem = (files) => {
    if (files.length > maxFiles) return input.dataset.tooMany;
    const total = files.reduce((sum, file) => sum + file.size, 0);
    return total > maxTotal ? input.dataset.tooLarge.replace("{size}", inWords(total)) : "";
  };

  const show = () => {
    const files = [...input.files, ...folder.files];
    list.replaceChildren(...files.slice(0, maxFiles).map(item));
    input.setCustomValidity(problem(files));
    if (problem(files)) input.reportValidity();
  };

  input.addEventListener("change", show);
  folder.addEventListener("change", show);

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
