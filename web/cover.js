// A cover that is drawn from a game's id, title and genre: the same game always has the same one, without a file.

import { html } from './vendor/preact.js';

// A small hash (FNV-1a) and generator (xorshift).
function* dice(seed) {
  let h = 2166136261;
  for (const c of seed) h = Math.imul(h ^ c.codePointAt(0), 16777619) >>> 0;
  for (;;) {
    h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0;
    h = (h ^ (h << 13)) >>> 0;
    h = (h ^ (h >>> 17)) >>> 0;
    yield h / 4294967296;
  }
}

/** What the background shows, by the first word of a genre or tag that is known here. */
const MOTIFS = {
  puzzle: grid, strategy: grid, board: grid, card: grid, casual: bubbles, family: bubbles, music: waves, rhythm: waves,
  horror: forest, survival: forest, adventure: hills, rpg: hills, 'role-playing': hills, fantasy: hills, racing: road,
  sports: road, action: rays, fighting: rays, shooter: rays, platformer: steps, indie: bubbles, simulation: city,
  building: city, space: stars, 'sci-fi': stars, exploration: waves, story: hills,
};

function motifOf({ genres = [], tags = [] }) {
  const words = [...genres, ...tags].flatMap((label) => [label.toLowerCase(), ...label.toLowerCase().split(/[\s/]+/)]);
  const known = words.find((word) => Object.hasOwn(MOTIFS, word));
  return known ? MOTIFS[known] : stars;
}

const many = (n, draw) => Array.from({ length: n }, (_, i) => draw(i));

function stars(next, color) {
  return [html`<circle cx=${90 + next(220)} cy=${60 + next(60)} r=${34 + next(30)} fill=${color(30, 62)} opacity=".9" />`,
    ...many(40, (i) => html`<circle key=${i} cx=${next(400)} cy=${next(300)} r=${1 + next(3)} fill="#fff" opacity=${0.35 + next(60) / 100} />`)];
}
function hills(next, color) {
  const ridge = (y) => `M0 300V${y + next(40)}${many(5, (i) => `L${(i + 1) * 80} ${y - 30 + next(70)}`).join('')}V300z`;
  return [html`<circle cx=${70 + next(260)} cy="80" r="32" fill=${color(50, 72)} />`,
    ...many(3, (i) => html`<path key=${i} d=${ridge(130 + i * 45)} fill=${color(i * 12, 40 - i * 9)} />`)];
}
function forest(next, color) {
  return [html`<circle cx="300" cy="70" r="30" fill=${color(180, 78)} opacity=".8" />`,
    ...many(11, (i) => { const [x, h] = [i * 42 - 16 + next(14), 90 + next(90)]; return html`<path key=${i} d="M${x} 300L${x + 26} ${300 - h}L${x + 52} 300z" fill=${color(next(20), 12 + next(10))} />`; })];
}
function waves(next, color) {
  const start = next(30);
  return many(6, (i) => html`<path key=${i} d="M-20 ${70 + i * 40 + start}q55 -${24 + next(26)} 110 0t110 0t110 0t110 0V320H-20z" fill=${color(i * 9, 52 - i * 6)} opacity=".75" />`);
}
function grid(next, color) {
  return many(48, (i) => html`<rect key=${i} x=${(i % 8) * 50 + 4} y=${Math.floor(i / 8) * 50 + 4} width="42" height="42" rx="6" fill=${color(next(60), 26 + next(30))} opacity=${0.35 + next(60) / 100} />`);
}
function bubbles(next, color) {
  return many(12, (i) => html`<circle key=${i} cx=${next(400)} cy=${next(240)} r=${18 + next(58)} fill=${color(next(90), 44 + next(20))} opacity=".5" />`);
}
function rays(next, color) {
  const [x, y] = [120 + next(160), 90 + next(80)];
  return many(14, (i) => { const at = (turn) => `${x + 500 * Math.cos(turn)} ${y + 500 * Math.sin(turn)}`; const turn = i * Math.PI / 7; return html`<path key=${i} d="M${x} ${y}L${at(turn)}L${at(turn + Math.PI / 14)}z" fill=${color(i * 5, 48)} opacity=".6" />`; });
}
function road(next, color) {
  const x = 150 + next(100);
  return [html`<circle cx=${x} cy="120" r="58" fill=${color(40, 64)} />`, html`<rect y="140" width="400" height="160" fill=${color(200, 16)} />`,
    html`<path d="M${x - 8} 140L40 300H360L${x + 8} 140z" fill="#222" opacity=".75" />`,
    ...many(4, (i) => html`<rect key=${i} x=${x + (200 - x) * (i / 4) - 3 - i} y=${152 + i * i * 11} width=${4 + i * 3} height=${8 + i * 7} fill="#fff" opacity=".8" />`)];
}
function steps(next, color) {
  return many(7, (i) => html`<rect key=${i} x=${i * 60 - next(12)} y=${230 - i * 26 - next(24)} width="52" height="260" rx="5" fill=${color(i * 10, 34 + i * 3)} />`);
}
function city(next, color) {
  return many(12, (i) => { const h = 60 + next(150); return html`<rect key=${i} x=${i * 36 - 8} y=${300 - h} width="30" height=${h} fill=${color(next(30), 34 + next(22))} />`; });
}

/** The title in lines that fit, each a little smaller the more there are. */
function typeset(title) {
  const room = 15;
  const pieces = title.split(/\s+/).filter(Boolean).flatMap((word) => (word.length > room ? word.match(/.{1,14}/gu) : [word]));
  const lines = [];
  for (const piece of pieces) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + piece.length < room) lines[lines.length - 1] = `${last} ${piece}`; else lines.push(piece);
  }
  if (lines.length > 4) { lines.length = 4; lines[3] = `${lines[3].slice(0, room - 2)}…`; }
  const longest = Math.max(1, ...lines.map((line) => line.length));
  return { lines, size: Math.min(64, Math.floor(510 / longest), Math.floor(210 / lines.length)) };
}

export function Cover({ game }) {
  const roll = dice(game.id + game.title);
  const next = (n) => Math.floor(roll.next().value * n);
  const hue = next(360);
  const color = (shift, light) => `hsl(${(hue + shift) % 360} 58% ${light}%)`;
  const drawn = motifOf(game)(next, color);
  const { lines, size } = typeset(game.title);
  const face = ['system-ui, sans-serif', 'Georgia, serif', 'ui-rounded, system-ui, sans-serif', 'ui-monospace, monospace'][next(4)];
  const first = 286 - (lines.length - 1) * size * 1.05;
  return html`<svg class="cover" viewBox="0 0 400 300" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
    <rect width="400" height="300" fill=${color(0, 24)} />${drawn}
    <rect y=${first - size * 1.2} width="400" height="300" fill=${color(0, 10)} opacity=".78" />
    ${lines.map((line, n) => html`<text key=${n} x="18" y=${first + n * size * 1.05} font-size=${size} font-weight="800" font-family=${face} fill="#fff">${line}</text>`)}</svg>`;
}
