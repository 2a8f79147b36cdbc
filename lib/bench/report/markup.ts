/** Bits of HTML, whose text is always escaped. */

/** HTML that is safe to put into a page. */
export interface Markup {
  readonly html: string;
}

type Content = string | number | Markup | readonly Content[] | undefined;

const ENTITIES: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;'};

function rendered(content: Content): string {
  if (content === undefined) return '';
  if (Array.isArray(content)) return (content as readonly Content[]).map(rendered).join('');
  if (typeof content === 'object') return (content as Markup).html;
  return String(content).replace(/[&<>"']/g, sign => ENTITIES[sign] ?? sign);
}

/** A template tag: what is put in is text, and becomes markup only if it is {@link Markup} already. */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return {html: parts.reduce((whole, part, i) => whole + rendered(contents[i - 1]) + part)};
}

/** Text that is HTML already: this project's own, never a result's. */
export function trusted(text: string): Markup {
  return {html: text};
}

/** A number as people read it, and as it was measured. */
function datum(value: number, words: string): Markup {
  return html`<data value="${value}">${words}</data>`;
}

/** As {@link timeInWords}, with the nanoseconds beside. */
export function time(ns: number | undefined): Markup {
  return ns === undefined ? html`–` : datum(ns, timeInWords(ns));
}

export function ratio(value: number): Markup {
  return datum(value, `${value.toFixed(value < 10 ? 3 : 1)}×`);
}

export function number(value: number): Markup {
  return datum(value, value.toLocaleString('en'));
}

/** Four digits, in the unit that suits: `812 ns`, `4.213 µs`, `38.10 ms`. */
export function timeInWords(ns: number): string {
  const [unit, size] = Math.abs(ns) >= 1e9 ? ['s', 1e9] : Math.abs(ns) >= 1e6 ? ['ms', 1e6] : Math.abs(ns) >= 1e3 ? ['µs', 1e3] : ['ns', 1];
  const value = ns / size;
  const decimals = unit === 'ns' ? (Number.isInteger(value) ? 0 : 1) : Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value))));
  return `${value.toFixed(decimals)} ${unit}`;
}

/** A share, told in per cent. */
export function share(value: number): Markup {
  return datum(value, `${(value * 100).toFixed(1)} %`);
}

export type Cell = string | Markup;

/** A table that scrolls within its own box; a cell of bare text is words, all others are numbers. */
export function table(id: string, caption: string, head: readonly string[], body: readonly (readonly Cell[])[]): Markup {
  const kind = (cell: Cell | undefined): string => (typeof cell === 'object' ? 'number' : 'word');
  return html`<div class="scroll"><table id="${id}"><caption>${caption}</caption>
<thead><tr>${head.map((name, i) => html`<th scope="col" class="${kind(body[0]?.[i])}">${name}</th>`)}</tr></thead>
<tbody>${body.map(cells => html`<tr>${cells.map(cell => html`<td class="${kind(cell)}">${cell}</td>`)}</tr>
`)}</tbody></table></div>`;
}
