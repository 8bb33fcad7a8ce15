package bridge

// extension is the identifier of Enterprise-Managed Authorization. A client that
// supports it says so (MCP 2026-07-28, Extensions), and with the bridge in front of
// it every client does.
const extension = "io.modelcontextprotocol/enterprise-managed-authorization"

// declare adds the extension to the client's capabilities: those of initialize, and
// those in the _meta of a request of the stateless era. Nothing else of the message
// changes, and nothing at all where no capabilities are, or not as they should be.
func declare(m *message) {
	at, err := m.capabilities()
	if err != nil || !isObject(m.raw, at) {
		return
	}
	extensions, err := member(m.raw, at, "extensions")
	switch {
	case err != nil:
	case extensions.none():
		m.insert(at, `"extensions":{"`+extension+`":{}}`)
	case isObject(m.raw, extensions):
		if own, err := member(m.raw, extensions, extension); err == nil && own.none() {
			m.insert(extensions, `"`+extension+`":{}`)
		}
	}
}

func (m *message) capabilities() (span, error) {
	if m.modern() {
		return member(m.raw, m.meta, metaCapabilities)
	}
	if m.method == "initialize" {
		return member(m.raw, m.params, "capabilities")
	}
	return span{}, nil
}

// insert puts a member first into the object at s. The envelope is read again,
// since what comes behind has moved.
func (m *message) insert(s span, text string) {
	if next := space(m.raw, s.from+1); m.raw[next] != '}' {
		text += ","
	}
	m.raw = splice(m.raw, s.from+1, text)
	m.envelope, _ = open(m.raw)
	m.meta, _ = member(m.raw, m.params, "_meta")
}
