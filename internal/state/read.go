package state

import "github.com/mcpauth/mcpauth/internal/ownjson"

// Every answer from the cache begins with reading state.json. What follows reads
// what encode wrote, without what encoding/json spends on getting to know the
// types, and has to know every member of them: a test compares the two. What it
// does not understand is encoding/json's to judge.

// fast is decode for a file that agrees with its checksum. The records of servers
// for which server is false are left out.
func fast(b []byte, server func(url string) bool) (f File, ok bool) {
	r := ownjson.New(b)
	r.Object(func(name string) {
		switch name {
		case "version":
			f.Version = r.Int()
		case "store":
			f.Store = readStore(r)
		case "identities":
			f.Identities = map[string]Identity{}
			r.Object(func(name string) { f.Identities[name] = readIdentity(r) })
		case "servers":
			f.Servers = map[string]Server{}
			r.Object(func(url string) {
				if server(url) {
					f.Servers[url] = readServer(r)
				} else {
					r.Skip()
				}
			})
		case "windows":
			r.List(func() { f.Windows = append(f.Windows, r.Time()) })
		default:
			r.Skip()
		}
	})
	return f, r.OK() && f.Version == Version
}

func readStore(r *ownjson.Reader) *Store {
	s := &Store{}
	r.Object(func(name string) {
		switch name {
		case "kind":
			s.Kind = r.Text()
		case "keyFile":
			s.KeyFile = r.Text()
		case "passphraseFile":
			s.PassphraseFile = r.Text()
		default:
			r.Skip()
		}
	})
	return s
}

func readIdentity(r *ownjson.Reader) (id Identity) {
	r.Object(func(name string) {
		switch name {
		case "issuer":
			id.Issuer = r.Text()
		case "clientId":
			id.ClientID = r.Text()
		case "subject":
			id.Subject = r.Text()
		case "name":
			id.Name = r.Text()
		case "email":
			id.Email = r.Text()
		case "signedIn":
			id.SignedIn = r.Time()
		case "issued":
			id.Issued = r.Time()
		case "expires":
			id.Expires = r.Time()
		case "authTime":
			id.AuthTime = r.Time()
		case "nonce":
			id.Nonce = r.Text()
		case "renewable":
			id.Renewable = r.Bool()
		case "imported":
			id.Imported = r.Bool()
		case "unverified":
			id.Unverified = r.Bool()
		case "slot":
			id.Slot = r.Text()
		case "scopes":
			id.Scopes = r.Texts()
		default:
			r.Skip()
		}
	})
	return id
}

func readServer(r *ownjson.Reader) (s Server) {
	r.Object(func(name string) {
		switch name {
		case "url":
			s.URL = r.Text()
		case "resource":
			s.Resource = r.Text()
		case "resourceMatch":
			s.ResourceMatch = r.Text()
		case "issuer":
			s.Issuer = r.Text()
		case "pinned":
			s.Pinned = r.Time()
		case "client":
			s.Client = r.Text()
		case "lastOk":
			s.LastOK = r.Time()
		case "expires":
			s.Expires = r.Time()
		case "scopes":
			s.Scopes = r.Texts()
		case "lastError":
			s.LastError = readFailure(r)
		case "lastAsked":
			s.LastAsked = r.Text()
		case "sealed":
			s.Sealed = r.Texts()
		case "mode":
			s.Mode = r.Text()
		case "modeWhy":
			s.ModeWhy = r.Text()
		case "managed":
			s.Managed = r.Bool()
		case "dpop":
			s.DPoP = r.Bool()
		case "consent":
			s.Consent = readConsent(r)
		case "registration":
			s.Registration = readRegistration(r)
		default:
			r.Skip()
		}
	})
	return s
}

func readFailure(r *ownjson.Reader) *Failure {
	f := &Failure{}
	r.Object(func(name string) {
		switch name {
		case "when":
			f.When = r.Time()
		case "stage":
			f.Stage = r.Text()
		case "code":
			f.Code = r.Text()
		case "message":
			f.Message = r.Text()
		case "check":
			f.Check = r.Text()
		default:
			r.Skip()
		}
	})
	return f
}

func readConsent(r *ownjson.Reader) *Consent {
	c := &Consent{}
	r.Object(func(name string) {
		switch name {
		case "issuer":
			c.Issuer = r.Text()
		case "clientId":
			c.ClientID = r.Text()
		case "when":
			c.When = r.Time()
		case "scopes":
			c.Scopes = r.Texts()
		case "asked":
			c.Asked = r.Texts()
		case "renewable":
			c.Renewable = r.Bool()
		default:
			r.Skip()
		}
	})
	return c
}

func readRegistration(r *ownjson.Reader) *Registration {
	g := &Registration{}
	r.Object(func(name string) {
		switch name {
		case "issuer":
			g.Issuer = r.Text()
		case "clientId":
			g.ClientID = r.Text()
		case "method":
			g.Method = r.Text()
		case "redirectPath":
			g.RedirectPath = r.Text()
		case "made":
			g.Made = r.Time()
		case "secretExpires":
			g.SecretExpires = r.Time()
		default:
			r.Skip()
		}
	})
	return g
}
