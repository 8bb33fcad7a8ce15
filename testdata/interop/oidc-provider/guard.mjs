// Judges requests to an MCP server whose tokens are bound to a key: the access
// token (RFC 9068) and the proof (RFC 9449 section 4.3) by panva's oauth4webapi.
import { allowInsecureRequests, validateJwtAccessToken } from 'oauth4webapi';
import { decodeJwt } from 'jose';

// guard makes a request handler. It takes {method, url, authorization, proof} as
// JSON and answers the claims of the token, or 401 and the reason.
export function guard({ issuer, jwks, resource }) {
  const seen = new Set(); // the jti of proofs, which that library leaves to us
  return async (req, res) => {
    let status = 200;
    let answer;
    try {
      let text = '';
      for await (const chunk of req) text += chunk;
      const { method, url, authorization, proof } = JSON.parse(text);
      const judged = new Request(url, { method, headers: { authorization, ...(proof && { dpop: proof }) } });
      answer = await validateJwtAccessToken({ issuer, jwks_uri: jwks }, judged, resource, { requireDPoP: true, [allowInsecureRequests]: true });
      const { jti } = decodeJwt(proof);
      if (seen.has(jti)) throw new Error('the proof was presented twice');
      seen.add(jti);
    } catch (error) {
      status = 401;
      answer = { error: `${error.message}${error.cause?.message ? `: ${error.cause.message}` : ''}` };
    }
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(answer));
  };
}
