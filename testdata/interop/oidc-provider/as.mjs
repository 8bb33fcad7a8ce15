// The authorization server of the MCP server: a second oidc-provider, without
// people, and one registered grant, which redeems ID-JAGs (RFC 7523 section
// 2.1, id-jag-04 section 4.4.1). The access token is the library's at+jwt
// (RFC 9068), the client authentication its private_key_jwt.
import Provider, { errors } from 'oidc-provider';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { randomBytes } from 'node:crypto';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

// authorizationServer trusts assertions of idp for the one resource.
export function authorizationServer({ issuer, idp, idpKeys, resource, scopes, client, key, settings, note }) {
  const provider = new Provider(issuer, {
    clients: [{
      ...client, redirect_uris: [], response_types: [], grant_types: [JWT_BEARER], token_endpoint_auth_method: 'private_key_jwt',
    }],
    jwks: { keys: [key.private] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['private_key_jwt'],
    scopes,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: { devInteractions: { enabled: false }, resourceIndicators: { enabled: true } },
    discovery: { authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'] },
    renderError: (ctx, out) => { ctx.type = 'text'; ctx.body = out.error; },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  provider.on('grant.error', (ctx, error) => note({ party: 'as', refused: error.error, why: error.error_detail ?? error.error_description }));
  provider.on('server_error', (ctx, error) => note({ party: 'as', failed: String(error.stack) }));

  const trusted = createRemoteJWKSet(new URL(idpKeys));
  const seen = new Map(); // jti -> when it may be forgotten

  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    const { params, client: caller } = ctx.oidc;
    if (!params.assertion) throw new errors.InvalidRequest('assertion is missing');
    const { payload } = await jwtVerify(params.assertion, trusted, {
      issuer: idp, audience: issuer, typ: 'oauth-id-jag+jwt', algorithms: ['ES256'], requiredClaims: ['jti', 'sub', 'exp', 'iat', 'client_id', 'resource'],
    }).catch((e) => { throw new errors.InvalidGrant(`assertion: ${e.code} ${e.claim ?? ''}`); });
    if (payload.aud !== issuer) throw new errors.InvalidGrant('assertion: aud must be this server alone');
    if (payload.client_id !== caller.clientId) throw new errors.InvalidGrant('assertion: issued to another client');
    if (payload.resource !== resource) throw new errors.InvalidGrant('assertion: for another resource');
    if (params.resource !== undefined && params.resource !== resource) throw new errors.InvalidTarget();
    const now = Date.now() / 1000;
    for (const [jti, until] of seen) if (until < now) seen.delete(jti);
    if (seen.has(payload.jti)) throw new errors.InvalidGrant('assertion: presented twice');
    seen.set(payload.jti, payload.exp + 60);
    const granted = (payload.scope ?? '').split(' ').filter(Boolean);
    const asked = params.scope ? params.scope.split(' ') : granted;
    if (!asked.every((s) => granted.includes(s))) throw new errors.InvalidScope('more than the assertion grants', params.scope);

    const token = new provider.AccessToken({ accountId: payload.sub, client: caller, gty: 'jwt_bearer', scope: asked.join(' ') });
    token.resourceServer = new provider.ResourceServer(resource, {
      scope: scopes.join(' '), audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: settings.accessTokenSeconds, jwt: { sign: { alg: 'ES256' } },
    });
    const value = await token.save();
    ctx.body = { access_token: value, token_type: 'Bearer', expires_in: token.expiration, scope: token.scope };
    note({ party: 'as', redeemed: payload.sub });
  }, ['assertion', 'scope', 'resource'], []);

  return { issuer, handler: provider.callback() };
}
