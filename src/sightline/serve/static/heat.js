// Heat over a picture: where a class was seen, from clear over yellow to red, smoothed over the part the network saw.

const RAMP = [[255, 214, 102], [240, 113, 24], [190, 18, 60]];
const OPAQUE = 0.8;

function colour(share) {
  const place = share * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, i) => from + (RAMP[low + 1][i] - from) * (place - low));
}

export function draw(canvas, rows, box, width, height) {
  const hottest = Math.max(...rows.flat(), Number.MIN_VALUE);
  const small = new OffscreenCanvas(rows[0].length, rows.length);
  const image = new ImageData(rows[0].length, rows.length);
  rows.flat().forEach((value, i) => {
    const share = Math.max(0, value / hottest);
    image.data.set([...colour(share), 255 * OPAQUE * share], 4 * i);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = box;
  context.drawImage(small, left * width, top * height, (right - left) * width, (bottom - top) * height);
}
