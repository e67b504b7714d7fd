// Lets pictures through that browsers do not know for such. Gradio takes what a browser calls
// "image/…" and refuses the rest before it is sent, and to browsers DICOM, HEIC or a file without an
// ending are of no kind: they are called a picture here, and the library says what they are.
const ENDINGS = ".dcm,.dicom,.ima,.heic,.heif,.jxl,.jp2,.j2k,.jpx,.avif,.tif,.tiff";

const unknown = (file) => !file.type || file.type === "application/dicom";

const asPictures = (files) => {
  const named = new DataTransfer();
  for (const file of files)
    named.items.add(unknown(file) ? new File([file], file.name, { type: "image/x-unknown" }) : file);
  return named;
};

const takesPictures = (input) =>
  input.type === "file" && input.accept?.split(",").some((kind) => kind.trim() === "image/*");

// before Gradio hears of it: events are caught on their way down
document.addEventListener("click", (event) => {
  if (takesPictures(event.target) && !event.target.accept.includes(ENDINGS))
    event.target.accept += `,${ENDINGS}`;
}, true);

document.addEventListener("change", (event) => {
  const input = event.target;
  if (takesPictures(input) && [...input.files].some(unknown))
    input.files = asPictures(input.files).files;
}, true);

document.addEventListener("drop", (event) => {
  const place = event.target.closest?.("#picture, #class-pictures");
  const files = event.dataTransfer?.files ?? [];
  if (!place || ![...files].some(unknown)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const options = { bubbles: true, cancelable: true, dataTransfer: asPictures(files) };
  event.target.dispatchEvent(new DragEvent("drop", options));
}, true);
