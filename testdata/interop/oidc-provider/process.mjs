// What the servers of this folder have in common with each other as programs.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';

// oidc-provider prints its notices with console.info; stdout is for events alone.
console.info = console.warn;

export const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

export async function newKey(kid) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const marks = { kid, alg: 'ES256', use: 'sig' };
  return {
    signer: privateKey,
    pem: await exportPKCS8(privateKey),
    public: { ...await exportJWK(publicKey), ...marks },
    private: { ...await exportJWK(privateKey), ...marks },
  };
}

// listen binds first: a provider has to know its own address when it is made.
export async function listen() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, issuer: `http://127.0.0.1:${server.address().port}` };
}

// obey takes new settings from stdin until that ends, and the program with it.
export async function obey(settings) {
  for await (const line of createInterface({ input: process.stdin })) {
    Object.assign(settings, JSON.parse(line));
    say({ settings });
  }
  process.exit(0);
}
