package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mcpauth/mcpauth/internal/config"
	"github.com/mcpauth/mcpauth/internal/consent"
	"github.com/mcpauth/mcpauth/internal/pace"
	"github.com/mcpauth/mcpauth/internal/stage"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/internal/wire"
	"github.com/mcpauth/mcpauth/pkg/discover"
	"github.com/mcpauth/mcpauth/pkg/idjag"
)

// Slid says that a server whose tokens the company decided about is configured to
// be used without the company (attack S28). Nobody is asked for consent.
type Slid struct{ Server string }

func (e *Slid) Error() string {
	return fmt.Sprintf("the server %q was enterprise-managed before, and is configured as not managed now", e.Server)
}

// NotManaged says that a server's authorization server takes no enterprise-managed
// sign-in, and that the organisation has not allowed another one.
type NotManaged struct{ Server, AS string }

func (e *NotManaged) Error() string {
	return fmt.Sprintf("the authorization server %q of %q does not offer enterprise-managed sign-in, and your organisation has not allowed another", e.AS, e.Server)
}

// mode is how tokens for this server are had, as far as that is known without
// asking anybody: "" is for a server with mode auto that is not decided yet.
func (s *Source) mode(record state.File) (string, error) {
	r := record.Servers[s.Server.URL]
	switch mode := s.Server.OAuth.ModeOrDefault(); {
	case mode == config.ModeOAuth && r.Managed:
		return "", &Slid{s.Server.Name}
	case mode != config.ModeAuto:
		return mode, nil
	case r.Managed:
		return config.ModeEMA, nil
	case r.Mode == config.ModeOAuth && r.Consent != nil:
		return config.ModeOAuth, nil
	}
	return "", nil
}

// decide settles the mode of a server and says why. What the authorization server
// advertises decides about auto, within what the organisation allows: absence of a
// sign is no proof, so a server that was managed once stays so.
func (s *Source) decide(ctx context.Context, record state.File) (mode, why string, err error) {
	mode, err = s.mode(record)
	switch {
	case err != nil:
		return "", "", err
	case s.Server.OAuth.ModeOrDefault() != config.ModeAuto:
		return mode, "configured", nil
	case mode == config.ModeEMA:
		return mode, "it was enterprise-managed before", nil
	}
	p, err := s.locate(ctx, false)
	if err != nil {
		return "", "", err
	}
	as, err := s.Metadata(ctx, p.AS)
	if err != nil {
		return "", "", err
	}
	// The grant type alone may be for platforms' tokens. It counts where no profiles are
	// stated: a wrong guess ends in a refusal, not in a prompt.
	takes := slices.Contains(as.GrantProfiles, idjag.GrantProfile) || as.GrantProfiles == nil && slices.Contains(as.GrantTypes, idjag.GrantTypeJWTBearer)
	switch {
	case s.Provider == nil:
		return config.ModeOAuth, "no identity provider is configured", nil
	case takes:
		return config.ModeEMA, "the authorization server offers it", nil
	case s.AllowFallback:
		return config.ModeOAuth, "the authorization server offers no enterprise-managed sign-in, and the organisation allows this", nil
	}
	return "", "", &NotManaged{s.Server.Name, p.AS}
}

// decidedAgainst reports whether the company has said no to a server with mode auto:
// its word counts from then on, although no token came of it, and the authorization
// server cannot have the person asked instead by what it says of itself later on
// (protocol section 4.10).
func (s *Source) decidedAgainst(mode string, f state.Failure) bool {
	return s.Server.OAuth.ModeOrDefault() == config.ModeAuto && mode == config.ModeEMA &&
		f.Stage == string(stage.Exchange) && (f.Code == "access_denied" || f.Code == "invalid_target")
}

// Metadata is that of an authorization server, by its issuer.
func (s *Source) Metadata(ctx context.Context, issuer string) (discover.ServerMetadata, error) {
	p := s.parties()
	p.AS = issuer
	ctx = wire.OnBehalfOf(ctx, s.Server.URL)
	if s.Server.OAuth.LegacyDiscovery {
		as, err := s.Discover.Legacy(ctx, s.Server.URL)
		return as, stage.At(stage.ServerMetadata, p, err)
	}
	d, done := pace.Share(ctx, s.State, s.Discover)
	defer done()
	var as discover.ServerMetadata
	all := pace.Party{State: s.State, Name: issuer, Now: s.Now}
	err := all.Note(func() (err error) {
		as, err = d.AuthorizationServer(ctx, issuer)
		return err
	})
	return as, stage.At(stage.ServerMetadata, p, err)
}

// holder is whose tokens are looked for, so that nobody is served those of who was
// there before (attack S31). It is empty where no person is involved.
type holder struct {
	issuer, subject string // of the person, at the identity provider
	client          string // at the authorization server, where no configuration says it
	since           time.Time
}

func (h holder) equal(other holder) bool {
	return h.issuer == other.issuer && h.subject == other.subject && h.client == other.client && h.since.Equal(other.since)
}

// holder returns an error when a person has to do something first.
func (s *Source) holder(mode string, record state.File) (holder, error) {
	switch mode {
	case config.ModeEMA:
		if s.Provider == nil {
			return holder{}, &config.NoIdP{}
		}
		id, err := s.Provider.KnownIn(record)
		return holder{issuer: id.Issuer, subject: id.Subject, since: id.SignedIn}, err
	case config.ModeOAuth:
		c := record.Servers[s.Server.URL].Consent
		if c == nil {
			return holder{}, &consent.Needed{Server: s.Server.Name, Why: "you have not agreed to this server yet"}
		}
		return holder{client: c.ClientID, since: c.When}, nil
	}
	return holder{}, nil
}
