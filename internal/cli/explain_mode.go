package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/signin"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/token"
	"github.com/mcpauth/mcpauth/internal/vault"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/endpoint"
)

// explainMode is about who may say yes to a server's tokens.
func explainMode(err error, at *stage.Error, r *report) bool {
	var needed *consent.Needed
	var stranger *consent.NoClient
	var unfit *consent.Unfit
	var slid *token.Slid
	var unmanaged *token.NotManaged
	var none *token.NoConsent
	var noGrant *token.NoIDJAG
	var bound *token.Bound
	var refused *signin.Refused
	switch {
	case at.Stage == stage.Consent && errors.As(err, &refused):
		r.SaysWho, r.Says = "the authorization server", refused.Description
		if refused.Code == "access_denied" {
			r.Message = "you did not agree, or you may not use " + at.Server
			return r.is(exitRefused, refused.Code, "try again: mcpauth login "+at.Server)
		}
		r.Message = fmt.Sprintf("the authorization server of %s answered %q", at.Server, wire.Clean(refused.Code))
		if refused.Code == "invalid_scope" {
			return r.is(exitRefused, refused.Code, "ask for others: mcpauth login "+at.Server+" --scope SCOPE")
		}
		return r.is(exitBroken, wire.Clean(refused.Code), "show this to the owner of "+at.Server)
	case at.Stage == stage.Consent && isAny[*signin.Forged](err):
		return r.is(exitSecurity, "consent_answer", "close the other pages and try again: mcpauth login "+at.Server)
	case at.Stage == stage.Consent && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, vault.ErrTimeout):
		r.Message = "nobody agreed in time"
		return r.is(exitSignIn, "consent_timeout", "mcpauth login "+at.Server+" --timeout 10m")
	case errors.As(err, &needed):
		r.Message = needed.Error()
		command := "mcpauth login " + needed.Server
		for _, scope := range needed.Scopes {
			if scope != consent.Offline && plain(scope) && !strings.Contains(scope, " ") {
				command += " --scope " + scope
			}
		}
		return r.is(exitSignIn, "consent_needed", command)
	case errors.As(err, &stranger):
		return r.is(exitUsage, "no_client", "ask the owner of "+stranger.Server+" for a client id, then: mcpauth server remove "+stranger.Server,
			"mcpauth server add "+stranger.Server+" URL --mode oauth --client-id ID")
	case errors.As(err, &unfit):
		exit := exitBroken
		if unfit.Security {
			exit = exitSecurity
		}
		return r.is(exit, "unfit_server", "tell the owner of "+host(unfit.AS))
	case errors.As(err, &slid):
		return r.is(exitSecurity, "was_managed", "if that is right: mcpauth server remove "+slid.Server,
			"mcpauth server add "+slid.Server+" URL --mode oauth")
	case errors.As(err, &unmanaged):
		return r.is(exitRefused, "not_managed", "ask your administrator whether you may use "+unmanaged.Server,
			"who may decide that sets enterpriseManagedAuth.allowFallback")
	case errors.As(err, &none):
		return r.is(exitUsage, "no_consent", "mcpauth token "+none.Server)
	case errors.As(err, &noGrant):
		return r.is(exitUsage, "no_id_jag", "mcpauth token "+noGrant.Server)
	case errors.As(err, &bound):
		return r.is(exitUsage, "bound_token", "use what shows the key with each request: mcpauth bridge "+bound.Server, "mcpauth proxy")
	}
	return false
}

// outside explains an authorization server's refusal where no company stands
// behind the request, as far as that makes a difference.
func (r *report) outside(at *stage.Error, e *endpoint.Error) {
	owner := "the owner of " + at.Server
	r.Facts = facts(at)
	switch e.Code {
	case "invalid_grant":
		r.Message = fmt.Sprintf("the authorization server of %s did not accept what was shown to it", at.Server)
		r.is(exitBroken, e.Code, "show this to "+owner)
	case "unauthorized_client", "unsupported_grant_type":
		r.Message = fmt.Sprintf("the authorization server of %s does not let this client ask for tokens in this way", at.Server)
		r.is(exitBroken, e.Code, owner+" has to allow it")
	case "invalid_redirect_uri", "invalid_client_metadata", "invalid_software_statement", "unapproved_software_statement":
		r.Facts = nil
		r.Message = fmt.Sprintf("the authorization server of %s does not let mcpauth register itself", at.Server)
		r.is(exitBroken, e.Code, "ask "+owner+" for a client id, then: mcpauth server remove "+at.Server,
			"mcpauth server add "+at.Server+" URL --mode oauth --client-id ID")
	default:
		r.redeem(at, e)
	}
}
