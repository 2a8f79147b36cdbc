/** Text for a POSIX shell, and from a person who writes as for one. */

/** One word, whatever is in it; only NUL cannot be said, and cannot be in an argument either. */
export function quote(text: string): string {
  return /^[\w@%+:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A name that the shell can export; others (`npm_package_a-b`) could not be. */
export function isName(text: string): boolean {
  return /^[A-Za-z_]\w*$/.test(text);
}

/** Splits at white space, with quotes and backslashes as the shell has them; undefined when a quote stays open. */
export function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quoted = '';
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quoted !== '') {
      if (character === quoted) {
        quoted = '';
      } else if (character === '\\' && quoted === '"' && /["\\$`]/.test(text.charAt(index + 1))) {
        word = (word ?? '') + text.charAt(++index);
      } else {
        word = (word ?? '') + character;
      }
    } else if (character === '"' || character === "'") {
      quoted = character;
      word ??= '';
    } else if (character === '\\' && index + 1 < text.length) {
      word = (word ?? '') + text.charAt(++index);
    } else if (/\s/.test(character)) {
      if (word !== undefined) {
        words.push(word);
      }
      word = undefined;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quoted !== '') {
    return undefined;
  }
  return word === undefined ? words : [...words, word];
}
