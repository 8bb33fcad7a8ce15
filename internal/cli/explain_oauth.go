package cli

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// oauth explains a token endpoint's refusal by stage and code: protocol table 2.4.
func (r *report) oauth(at *stage.Error, e *endpoint.Error) {
	r.Code = wire.Clean(e.Code)
	r.Says, r.SaysWho = e.Description, "the identity provider"
	if at.Stage == stage.Redeem || at.Stage == stage.Consent {
		r.SaysWho = "the authorization server"
	}
	switch {
	case e.Code == "":
		r.Says = ""
		r.strange(e)
	case e.Temporary():
		hint := "try again in a moment"
		if e.RetryAfter > 0 {
			hint = "try again in " + e.RetryAfter.Round(time.Second).String()
		}
		r.Message = r.SaysWho + " is out of order or overloaded"
		r.is(exitNetwork, r.Code, hint)
	case at.Outside:
		r.outside(at, e)
	case r.stronger(e):
	case at.Stage == stage.Redeem:
		r.redeem(at, e)
	case at.Stage == stage.Exchange:
		r.exchange(at, e)
	default:
		r.signInLeg(at, e)
	}
}

// strange is an answer that no OAuth server gives: something is in between, or
// the address is wrong.
func (r *report) strange(e *endpoint.Error) {
	r.Code = "no_oauth_answer"
	switch {
	case e.Status == 429 || e.Status >= 500:
		r.is(exitNetwork, "unavailable", "try again in a moment")
	case e.Strange == "a web page":
		r.is(exitNetwork, "web_page", "is a proxy or a hotel network in the way?")
	case e.Strange == "a redirect":
		r.is(exitBroken, "redirect", "redirects of secrets are not followed; the endpoint's owner has to publish its final address")
	default:
		r.is(exitBroken, r.Code, "is the address right? "+e.Endpoint)
	}
}

// stronger are the refusals that a better sign-in cures.
func (r *report) stronger(e *endpoint.Error) bool {
	switch e.Code {
	case "insufficient_user_authentication":
		command := "mcpauth login"
		if plain(e.ACRValues) {
			command += fmt.Sprintf(" --acr-values '%s'", e.ACRValues)
		}
		if e.MaxAge >= 0 {
			command += fmt.Sprintf(" --max-age %s", e.MaxAge)
		}
		r.Message = "a stronger or fresher sign-in is needed"
		return r.is(exitStronger, e.Code, command)
	case "mfa_required", "interaction_required", "consent_required":
		r.Message = r.SaysWho + " wants to ask you something first"
		return r.is(exitStronger, e.Code, "mcpauth login --prompt login")
	case "login_required", "account_selection_required":
		r.Message = "the identity provider wants you to sign in again"
		return r.is(exitSignIn, e.Code, "mcpauth login")
	}
	return false
}

// plain reports whether a remote value is safe to show inside a command to type.
func plain(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/._- ") == ""
}

func (r *report) exchange(at *stage.Error, e *endpoint.Error) {
	r.Facts = facts(at)
	switch e.Code {
	case "access_denied":
		r.Facts = nil
		r.Message = fmt.Sprintf("your company does not allow you to use %s", at.Server)
		hint := "ask your administrator for access to " + at.Resource
		if u, err := url.Parse(at.AccessRequestURL); err == nil && u.Host != "" {
			hint = "ask for access: " + at.AccessRequestURL
		}
		r.is(exitRefused, e.Code, hint)
	case "invalid_target":
		r.Message = fmt.Sprintf("the identity provider has no connection to %s for you", at.Server)
		r.is(exitRefused, e.Code, "give these values to your administrator, exactly as they are")
	case "invalid_scope":
		r.Message = fmt.Sprintf("the identity provider does not allow these scopes for %s", at.Server)
		r.is(exitRefused, e.Code, "ask for fewer: mcpauth token "+at.Server+" --scope SCOPE")
	case "unauthorized_client":
		r.Message = "the identity provider does not let this client ask for access, or not with these scopes"
		r.is(exitBroken, e.Code, "your administrator has to allow the token exchange grant for the client "+at.IdPClientID)
	case "unsupported_grant_type", "unsupported_token_type":
		r.Message = "this issuer cannot issue ID-JAGs"
		r.is(exitBroken, e.Code, oktaOr(at.IdP, "your administrator has to turn on cross-app access (ID-JAG) at the identity provider"))
	case "invalid_client":
		r.Message = "the identity provider does not accept how this client proves itself"
		r.is(exitBroken, e.Code, "ask your administrator which secret or key belongs to the client "+at.IdPClientID, "to enter a secret: mcpauth login --client-secret-stdin")
	case "invalid_grant":
		r.Facts = nil
		r.Message = "the identity provider no longer accepts your sign-in"
		r.is(exitSignIn, e.Code, "mcpauth login")
	case "invalid_request":
		r.Message = "the identity provider did not understand the request"
		r.is(exitBroken, e.Code, oktaOr(at.IdP, "ask your administrator whether this identity provider issues ID-JAGs (cross-app access)"),
			"if it cannot take the resource parameter: set oauth.sendResource to false for "+at.Server)
	default:
		r.Message = fmt.Sprintf("the identity provider refused access to %s", at.Server)
		r.is(exitBroken, wire.Clean(e.Code), "show this to your administrator")
	}
}

// oktaOr knows the one mistake that every Okta customer makes once.
func oktaOr(issuer, hint string) string {
	if u, err := url.Parse(issuer); err == nil && strings.Contains(u.Hostname(), ".okta") && strings.HasPrefix(u.Path, "/oauth2/") {
		return "use the Okta organisation itself as issuer, not a custom authorization server: https://" + u.Host
	}
	return hint
}

func (r *report) redeem(at *stage.Error, e *endpoint.Error) {
	r.Facts = facts(at)
	owner := "the owner of " + at.Server
	switch e.Code {
	case "invalid_grant":
		r.Message = fmt.Sprintf("the authorization server of %s refused your company's assertion", at.Server)
		r.is(exitBroken, e.Code,
			owner+" has to trust "+at.IdP,
			"your account may not exist there yet",
			"the client id there must be "+at.ASClientID)
	case "invalid_client":
		r.Message = fmt.Sprintf("the authorization server of %s does not accept how this client proves itself", at.Server)
		r.is(exitBroken, e.Code, unproven(at.ASClientID, owner)...)
	case "unauthorized_client", "unsupported_grant_type":
		r.Message = fmt.Sprintf("the authorization server of %s does not take enterprise-managed sign-ins from this client", at.Server)
		r.is(exitBroken, e.Code, owner+" has to turn it on")
	case "invalid_target":
		r.Message = fmt.Sprintf("the authorization server does not know the resource of %s", at.Server)
		r.is(exitBroken, e.Code, "if it cannot take the resource parameter: set oauth.sendResource to false for "+at.Server)
	case "invalid_scope":
		r.Message = fmt.Sprintf("the authorization server does not allow these scopes for %s", at.Server)
		r.is(exitRefused, e.Code, "ask for fewer: mcpauth token "+at.Server+" --scope SCOPE")
	case "access_denied":
		r.Message = fmt.Sprintf("the authorization server of %s does not let you in", at.Server)
		r.is(exitRefused, e.Code, "ask "+owner)
	default:
		r.Message = fmt.Sprintf("the authorization server of %s refused to issue a token", at.Server)
		r.is(exitBroken, wire.Clean(e.Code), "show this to "+owner)
	}
}

func (r *report) signInLeg(at *stage.Error, e *endpoint.Error) {
	switch e.Code {
	case "invalid_grant":
		r.Message = "the identity provider did not accept the sign-in"
		r.is(exitSignIn, e.Code, "try again: mcpauth login")
	case "invalid_client", "unauthorized_client":
		r.Message = "the identity provider does not accept this client"
		r.is(exitBroken, e.Code, "ask your administrator which secret or key belongs to the client "+at.IdPClientID, "to enter a secret: mcpauth login --client-secret-stdin")
	case "access_denied":
		r.signInRefused(e.Code)
	default:
		r.is(exitBroken, wire.Clean(e.Code), "show this to your administrator")
	}
}
