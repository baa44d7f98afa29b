// Two photos side by side, with a line for each verified pair of keypoints.

import { drawing } from "./elements.js";

const GAP = 0.02;

/**
 * Draws an answer of /matches.
 *
 * `addresses` are those that images of the two photos load; `isStacked` puts the second below the
 * first, for narrow screens.
 */
export function drawMatches(answer, addresses, isStacked) {
  const sizes = [answer.query_size, answer.result_size];
  const along = isStacked ? 0 : 1;
  // Both photos get the same height side by side, the same width when stacked.
  const common = Math.max(sizes[0][along], sizes[1][along]);
  const factors = sizes.map((size) => common / size[along]);
  const [first, second] = sizes.map((size, place) => size.map((side) => side * factors[place]));
  const gap = GAP * common;
  const shift = isStacked ? [0, first[1] + gap] : [first[0] + gap, 0];
  const width = isStacked ? common : first[0] + gap + second[0];
  const height = isStacked ? first[1] + gap + second[1] : common;

  const at = (point, place) => point.map((value, axis) => value * factors[place] + place * shift[axis]);
  const picture = (place, [w, h]) => {
    const image = drawing("image", { x: place * shift[0], y: place * shift[1], width: w, height: h });
    image.setAttribute("href", addresses[place]);
    return image;
  };
  const lines = answer.query_points.map((point, number) => {
    const [x, y] = at(point, 0);
    const [u, v] = at(answer.result_points[number], 1);
    const hue = Math.round(300 * (point[0] / sizes[0][0]));
    return drawing(
      "g",
      { class: "match", "--hue": hue },
      drawing("line", { x1: x, y1: y, x2: u, y2: v }),
      drawing("circle", { cx: x, cy: y, r: 0.006 * common }),
      drawing("circle", { cx: u, cy: v, r: 0.006 * common }),
    );
  });
  return drawing(
    "svg",
    {
      class: "matches",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${answer.inliers} keypoints of the query in the result`,
      "--line": 0.003 * common,
    },
    picture(0, first),
    picture(1, second),
    // The border of the query may reach beyond the result, over the query.
    drawing(
      "clipPath",
      { id: "result-area" },
      drawing("rect", { x: shift[0], y: shift[1], width: second[0], height: second[1] }),
    ),
    outline(answer, (point) => at(point, 1)),
    lines,
  );
}

/** The border of the query where the transform puts it, if it is in front. */
function outline({ transform, query_size: [width, height] }, at) {
  if (!transform) return null;
  const corners = [[0, 0], [width, 0], [width, height], [0, height]].map(([x, y]) =>
    transform.map((row) => row[0] * x + row[1] * y + row[2]),
  );
  const depth = (corner) => corner[2] ?? 1;
  if (corners.some((corner) => !(depth(corner) > 0))) return null;
  const points = corners.map((corner) => at([corner[0] / depth(corner), corner[1] / depth(corner)]));
  if (points.flat().some((value) => !(Math.abs(value) < 1e5))) return null;
  return drawing("polygon", {
    class: "outline",
    points: points.map((point) => point.join(",")).join(" "),
    "clip-path": "url(#result-area)",
  });
}
