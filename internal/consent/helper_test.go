package consent

import (
	"net"
	"strconv"
	"testing"

	"github.com/mcpauth/mcpauth/internal/identity"
	"github.com/mcpauth/mcpauth/internal/state"
	"github.com/mcpauth/mcpauth/pkg/secret"
)

func portText(r redirect) string { return strconv.Itoa(r.port) }

func listenAt(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// setSecret stores the secret of the client that was registered beforehand.
func (l *laptop) setSecret(t testing.TB) {
	t.Helper()
	if err := l.k.Vault.Set(t.Context(), identity.ClientSecretItem(l.AS.Issuer, l.ASClient.ID), secret.New(l.ASClient.Secret)); err != nil {
		t.Fatal(err)
	}
}

// record is what is known of a server, in a state that can be read.
func (k *Keeper) record(serverURL string) state.Server {
	r, err := k.known(serverURL)
	if err != nil {
		panic(err)
	}
	return r
}
