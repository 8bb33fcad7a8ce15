package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/mcpauth/mcpauth/internal/ownfile"
)

// Native is what a client was told about enterprise-managed sign-in of its own.
type Native struct {
	Path             string // the file with the identity provider
	Issuer, ClientID string // of the identity provider
	Servers          []NativeServer
}

// NativeServer is a server whose tokens the client gets by itself. ClientID is the
// one at the server's authorization server, and may be empty.
type NativeServer struct{ Name, URL, ClientID string }

// VSCode reads the user's settings and servers of VS Code. What is not there is
// empty; what has another shape than VS Code's is left out.
func VSCode(p Place) (Native, error) {
	n := Native{Path: filepath.Join(p.codeUser(), "settings.json")}
	settings, err := readObject(n.Path)
	if err != nil {
		return Native{}, err
	}
	idp, _ := settings["mcp.enterpriseManagedAuth.idp"].(map[string]any)
	n.Issuer, _ = idp["issuer"].(string)
	n.ClientID, _ = idp["clientId"].(string)
	file, err := readObject(filepath.Join(p.codeUser(), "mcp.json"))
	if err != nil {
		return Native{}, err
	}
	servers, _ := file["servers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		entry, _ := servers[name].(map[string]any)
		oauth, _ := entry["oauth"].(map[string]any)
		if oauth["enterpriseManaged"] != true {
			continue
		}
		s := NativeServer{Name: name}
		s.URL, _ = entry["url"].(string)
		s.ClientID, _ = oauth["clientId"].(string)
		n.Servers = append(n.Servers, s)
	}
	return n, nil
}

func readObject(path string) (map[string]any, error) {
	src, _, err := ownfile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := jsonFormat{}.plain(bytes.TrimPrefix(src, mark))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	object, _ := v.(map[string]any)
	return object, nil
}
