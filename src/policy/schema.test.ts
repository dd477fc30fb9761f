import { expect, test } from 'vitest';
import { policyJsonSchema } from './schema.ts';

test('docs/policy.schema.json is what schema.ts says; regenerate: npx vitest run src/policy/schema.test.ts -u', async () => {
  const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../../docs/policy.schema.json');
});
