package consent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/strictjson"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/clientauth"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

// maxClientID bounds what is kept of an answer; some servers put the whole
// registration into the client ID.
const maxClientID = 4 << 10

// redirect is where answers come back to, as it was or will be registered.
type redirect struct {
	host, path string
	port       int
}

// redirectOf: with a client that was registered beforehand, what the configuration
// says. A client that mcpauth registers has a path of its own for each server and
// authorization server (attack S4) and, since many servers compare the port that
// RFC 8252 section 7.3 has them ignore, a port of its own as well.
func (t Target) redirectOf(how string) redirect {
	o := t.Server.OAuth
	r := redirect{host: o.RedirectHostOrDefault(), port: o.RedirectPort, path: o.RedirectPathOrDefault()}
	if how == Registered {
		name := strings.Join([]string{t.AS.Issuer, t.url(), r.host, strconv.Itoa(r.port)}, " ")
		r.path = "/callback/" + state.Hash(name)
		if r.port == 0 {
			r.port = portOf(name)
		}
	}
	return r
}

func (r redirect) uri() string { return "http://" + r.host + ":" + strconv.Itoa(r.port) + r.path }

// portOf is below the ports that systems hand out themselves. When it is taken any
// other one is.
func portOf(name string) int {
	const first, number = 20000, 12000
	h := fnv.New32a()
	h.Write([]byte(name))
	return first + int(h.Sum32()%number)
}

// register makes mcpauth a client of the authorization server (RFC 7591) and keeps
// what came of it. The caller holds the window's lock, so that there is one
// registration however many ask. The request carries no secret.
func (k *Keeper) register(ctx context.Context, t Target) (clientauth.Client, error) {
	method, err := t.registers()
	if err != nil {
		return clientauth.Client{}, err
	}
	to := t.redirectOf(Registered)
	text, err := json.Marshal(map[string]any{
		"client_name":                "mcpauth",
		"application_type":           "native",
		"redirect_uris":              []string{to.uri()},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": method,
	})
	if err != nil {
		return clientauth.Client{}, fmt.Errorf("register mcpauth: %w", err)
	}
	answer, err := k.postJSON(wire.OnBehalfOf(ctx, t.url()), t.AS.RegistrationEndpoint, text)
	if err != nil {
		return clientauth.Client{}, fmt.Errorf("register mcpauth: %w", err)
	}
	r, sec, err := readRegistration(answer, method)
	if err != nil {
		return clientauth.Client{}, fmt.Errorf("register mcpauth: %w", err)
	}
	r.Issuer, r.RedirectPath, r.Made = t.AS.Issuer, to.path, k.now()
	if err := k.keepRegistration(ctx, t, r, sec); err != nil {
		return clientauth.Client{}, fmt.Errorf("keep the registration of mcpauth: %w", err)
	}
	return clientauth.Client{ID: r.ClientID, Issuer: r.Issuer, Method: clientauth.Method(r.Method), Secret: sec, Now: k.Now}, nil
}

// registers says with which authentication mcpauth can register itself, if it may.
func (t Target) registers() (method clientauth.Method, err error) {
	why := ""
	switch {
	case !t.Server.OAuth.Registers():
		why = "it is not configured, and may not be registered (oauth.registration is off)"
	case t.AS.RegistrationEndpoint == "":
		why = "it is not configured, and the authorization server registers no clients itself"
	default:
		// A secret on a laptop proves little, and is one more thing to keep.
		for _, m := range []clientauth.Method{clientauth.None, clientauth.SecretBasic, clientauth.SecretPost} {
			if slices.Contains(t.AS.TokenEndpointAuthMethods, string(m)) {
				return m, nil
			}
		}
		why = "the authorization server takes no client authentication that can be registered"
	}
	return "", &NoClient{Server: t.Parties.Server, AS: t.AS.Issuer, Why: why}
}

// readRegistration takes four members of the answer and no more: what else a server
// writes there, such as addresses, is nothing that we would use (attack S36).
func readRegistration(answer strictjson.Object, asked clientauth.Method) (r state.Registration, sec secret.Text, err error) {
	text := func(name string) string {
		s, bad := answer.Text(name)
		err = errors.Join(err, bad)
		return s
	}
	id, value, method := text("client_id"), text("client_secret"), clientauth.Method(text("token_endpoint_auth_method"))
	expires, bad := answer.Time("client_secret_expires_at")
	if err = errors.Join(err, bad); err != nil {
		return r, sec, err
	}
	if method == "" {
		if method = asked; asked == clientauth.None && value != "" {
			method = clientauth.SecretBasic // the default of RFC 7591 section 2
		}
	}
	switch {
	case id == "" || len(id) > maxClientID || strings.ContainsFunc(id, notVSChar):
		return r, sec, errors.New("the answer has no usable client_id")
	case method != clientauth.None && method != clientauth.SecretBasic && method != clientauth.SecretPost:
		return r, sec, fmt.Errorf("the answer asks for the client authentication %.64q", string(method))
	case method != clientauth.None && (value == "" || len(value) > maxClientID || strings.ContainsFunc(value, notVSChar)):
		return r, sec, errors.New("the answer has no usable client_secret")
	}
	r = state.Registration{ClientID: id, Method: string(method)}
	if method != clientauth.None {
		sec = secret.New(value)
		if expires.Unix() > 0 { // 0 is never
			r.SecretExpires = expires
		}
	}
	return r, sec, nil
}

// notVSChar: RFC 6749 appendices A.1 and A.2.
func notVSChar(r rune) bool { return r < ' ' || r > '~' }

// keepRegistration writes the record first: what it does not name would be
// forgotten by nobody.
func (k *Keeper) keepRegistration(ctx context.Context, t Target, r state.Registration, sec secret.Text) error {
	unlock, err := k.State.Lock(ctx, lockName(t.url()))
	if err != nil {
		return err
	}
	defer unlock()
	var before *state.Registration
	if err := k.update(ctx, t.url(), func(s *state.Server) { before, s.Registration = s.Registration, &r }); err != nil {
		return err
	}
	if before != nil {
		if err := k.Vault.Delete(ctx, secretItem(t.url(), *before)); err != nil {
			k.warn("the secret of an earlier registration is still stored: %v", err)
		}
	}
	if sec.IsZero() {
		return nil
	}
	return k.Vault.Set(ctx, secretItem(t.url(), r), sec)
}

// postJSON posts a registration and reads the answer, or the refusal in the words
// of RFC 7591 section 3.2.2. No redirect is followed (attack S9).
func (k *Keeper) postJSON(ctx context.Context, to string, text []byte) (strictjson.Object, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("the registration endpoint is not a URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := k.Net.Client().Do(req)
	if err != nil {
		var ue *url.Error // repeats the URL, which has a query
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("ask the registration endpoint: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, endpoint.MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of the registration endpoint: %w", err)
	}
	var members strictjson.Object
	if len(body) <= endpoint.MaxAnswer {
		members, err = strictjson.Parse(body)
	}
	if err == nil && members != nil && (resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusOK) {
		return members, nil
	}
	refusal := &endpoint.Error{Endpoint: bare(to), Status: resp.StatusCode, MaxAge: -1}
	refusal.Code, _ = members.Text("error")
	refusal.Description, _ = members.Text("error_description")
	if refusal.Code == "" {
		refusal.Strange = "something that is no registration"
	}
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && after > 0 {
		refusal.RetryAfter = time.Duration(min(after, 24*60*60)) * time.Second
	}
	return nil, refusal
}

func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "an unreadable URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
