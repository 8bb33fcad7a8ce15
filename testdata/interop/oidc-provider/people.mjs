// The people at an oidc-provider, and how it asks them to sign in and to agree.
import { consentPage, errorPage, signInPage } from './pages.mjs';

// Who works here, and what for. Passwords of people who do not exist.
export const people = {
  alice: { password: 'wonderland', email: 'alice@panva.example', name: 'Alice Liddell' },
  bob: { password: 'builder', email: 'bob@panva.example', name: 'Bob Builder' },
};

export const findAccount = (_, id) => people[id] && {
  accountId: id,
  claims: () => ({ sub: id, email: people[id].email, name: people[id].name }),
};

// withPages puts the sign-in and consent pages before the provider.
export function withPages(provider) {
  const callback = provider.callback();
  return async (req, res) => {
    const match = /^\/interaction\/([\w-]+)(?:\/(login|confirm))?$/.exec(req.url);
    if (!match) return callback(req, res);
    try {
      await interact(provider, req, res, match[2]);
    } catch (error) {
      html(res, 400, errorPage({ error: error.name, error_description: error.message }));
    }
  };
}

async function interact(provider, req, res, step) {
  const details = await provider.interactionDetails(req, res);
  const { uid, prompt, params, session } = details;
  if (req.method === 'GET') {
    if (prompt.name === 'login') return html(res, 200, signInPage(uid));
    const client = await provider.Client.find(params.client_id);
    return html(res, 200, consentPage(uid, client.clientName ?? params.client_id, params));
  }
  if (step === 'login') {
    const form = new URLSearchParams(await body(req));
    const user = form.get('user');
    if (!Object.hasOwn(people, user) || people[user].password !== form.get('password')) return html(res, 200, signInPage(uid, 'Wrong name or password'));
    return provider.interactionFinished(req, res, { login: { accountId: user, amr: ['pwd'] } }, { mergeWithLastSubmission: false });
  }
  const grant = (details.grantId && await provider.Grant.find(details.grantId))
    || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? []);
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

function html(res, status, text) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(text);
}

async function body(req) {
  let text = '';
  for await (const chunk of req) {
    text += chunk;
    if (text.length > 1e5) throw new Error('body too large');
  }
  return text;
}
