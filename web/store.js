// What the browser keeps from visit to visit. Where it may keep nothing, or is full, the page remembers by itself.

const memory = new Map();

export function recall(name) {
  try { return localStorage.getItem(name) ?? memory.get(name) ?? null; } catch { return memory.get(name) ?? null; }
}

export function keep(name, value) {
  if (value === null) memory.delete(name); else memory.set(name, value);
  try { if (value === null) localStorage.removeItem(name); else localStorage.setItem(name, value); } catch { /* the page remembers */ }
}
