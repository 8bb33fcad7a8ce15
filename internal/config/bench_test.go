package config

import (
	"fmt"
	"testing"

	"github.com/mcpauth/mcpauth/internal/jsonedit"
)

// Every token call pays for Load.
func BenchmarkLoad(b *testing.B) {
	for _, servers := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(servers, " servers"), func(b *testing.B) {
			p, err := Locate(b.TempDir(), vars{}.get)
			if err != nil {
				b.Fatal(err)
			}
			text := `{"mcpServers": {`
			for i := range servers {
				text += fmt.Sprintf("\n\"s%d\": {\"url\": \"https://s%d.example/mcp\", \"oauth\": {\"clientId\": \"c\", \"scopes\": [\"read\"]}},", i, i)
			}
			if err := Edit(b.Context(), p.Config, func(d *Doc) error { d.text = jsonedit.New([]byte(text + "}}")); return nil }); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := Load(p, Overrides{}, vars{}.get); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
