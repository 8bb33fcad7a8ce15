package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSmoke(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer srv.Close()
	n, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Client().Get(srv.URL); Classify(err) != Stopped {
		t.Fatalf("unconfigured loopback: %v", err)
	}
	n.Configured(srv.URL)
	resp, err := n.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
