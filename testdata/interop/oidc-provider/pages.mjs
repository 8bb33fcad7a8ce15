// The pages that a person sees. oidc-provider's own ones import a web font;
// these load nothing: one inline style, no script.

const style = `
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }
  body { display: grid; min-height: 100vh; margin: 0; place-items: center; background: Canvas; color: CanvasText }
  main { width: min(22rem, 90vw); padding: 2rem; border: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); border-radius: .75rem }
  h1 { margin: 0 0 1rem; font-size: 1.25rem }
  label { display: block; margin: .75rem 0 .25rem }
  input, button { box-sizing: border-box; width: 100%; padding: .6rem; border: 1px solid GrayText; border-radius: .4rem; font: inherit }
  button { margin-top: 1.25rem; border: 0; background: #2456c7; color: #fff; cursor: pointer }
  p { overflow-wrap: anywhere }
  .wrong { color: #c02626 }`;

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export function page(title, body) {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>${style}</style></head>
<body><main><h1>${escape(title)}</h1>${body}</main></body></html>`;
}

export function signInPage(uid, problem = '') {
  return page('Sign in to Panva Works', `
<form method="post" action="/interaction/${escape(uid)}/login">
<p class="wrong">${escape(problem)}</p>
<label for="user">Name</label><input id="user" name="user" autocomplete="username" autofocus>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password">
<button id="sign-in">Sign in</button></form>`);
}

export function consentPage(uid, name, { client_id: client, scope, resource, redirect_uri: redirect }) {
  return page(resource ? `Let ${name} act for you?` : `Let ${name} know who you are?`, `
<p>It asks for: ${escape(scope)}</p>
${resource ? `<p>Where: ${escape(resource)}<br>Who: ${escape(client)}<br>The answer goes to: ${escape(redirect)}</p>` : ''}
<form method="post" action="/interaction/${escape(uid)}/confirm"><button id="allow">Allow</button></form>`);
}

export function errorPage(out) {
  return page('This did not work', `<p>${escape(out.error)}: ${escape(out.error_description ?? '')}</p>`);
}
