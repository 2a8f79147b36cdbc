/** Why a build failed, from the output of make: the line that tells, or what is missing in plain words. */

const CAUSES: readonly (readonly [RegExp, (...found: string[]) => string])[] = [
  // The module's own words: compat.h, kmod/Kbuild.
  [/^.*\berror: #error "?(framevec [^"\n]*)/m, (words) => words],
  [/^(?:\/bin\/)?(?:sh|bash): (?:line )?\d+: (\S+): (?:command )?not found$/m, (program) => `the program ${program} is missing`],
  [/^make\S*: (\S+): No such file or directory$/m, (program) => `the program ${program} is missing`],
  [/\b(libelf-dev|elfutils-libelf-devel)\b/, () => 'the headers of libelf are missing (libelf-dev, elfutils-libelf-devel)'],
  [/^(?:ERROR: )?modpost: "(\w+)" \[[^\]]*\] undefined!$/m, (symbol) => `the kernel does not export ${symbol}()`],
  [/^ERROR: modpost: module \S+ uses symbol (\w+) from namespace (\S+),/m, (symbol, namespace) => `the kernel exports ${symbol}() in the namespace ${namespace} alone`],
  [/No rule to make target '([^']*(?:modpost|objtool|fixdep|auto\.conf|autoconf\.h|kernel\.release))/, (file) => `the headers are incomplete: ${file} is missing`],
];

/** Undefined if no line of the log tells. */
export function buildFailure(log: string): string | undefined {
  for (const [pattern, words] of CAUSES) {
    const found = pattern.exec(log);
    if (found !== null) return words(...found.slice(1)).trim();
  }
  return /^.*(\berror\b|undefined!|No rule|Stop\.).*$/im.exec(log)?.[0].trim();
}
