import eslint from '@eslint/js';
import {defineConfig} from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  {ignores: ['dist/', 'build/', 'node_modules/', 'coverage/']},
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {parserOptions: {projectService: {allowDefaultProject: ['eslint.config.js']}, tsconfigRootDir: import.meta.dirname}},
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true}],
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  // tsc checks them, who reads the types in their comments and knows what Node has.
  {files: ['docs/examples/*.mjs'], extends: [tseslint.configs.disableTypeChecked], rules: {'no-undef': 'off'}},
);
