/** What all options objects have in common. An option that nobody knows is an error: a typo would be ignored silently. */
import {closest} from 'fastest-levenshtein';
import {invalidArgType, requireObject, unknownOption} from './errors.js';

/** The names of the options of an interface; the compiler reports one that is missing here. */
export type OptionNames<T> = Readonly<Record<keyof T & string, true>>;

/**
 * Checks that `options` is an object, and that it has only known options.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`; `ERR_FRAMEVEC_UNKNOWN_OPTION`, which names the closest one
 */
export function checkOptions(options: unknown, known: Readonly<Record<string, true>>, name = 'options'): void {
  requireObject(name, options);
  // Inherited ones count too, as they are read too; but not what someone has added to every object.
  for (const key in options as object) {
    if (known[key] !== true && (Object.hasOwn(options as object, key) || !(key in Object.prototype))) {
      const names = Object.keys(known);
      throw unknownOption(`${name}.${key}`, closest(key, names), names);
    }
  }
}

/** Whether an option is on; it must be a boolean, or absent. */
export function enabled(value: unknown, name: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw invalidArgType(`options.${name}`, 'of type boolean', value);
}
