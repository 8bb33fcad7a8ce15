package config

// Validate applies the rules of the file to a server that is not in it yet, so
// that nobody is asked anything about a server that could not be saved.
func Validate(name string, s Server) error {
	d := newDoc("the server "+name, []byte("{}"))
	if err := d.SetServer(name, s); err != nil {
		return err
	}
	_, err := fileLayer(d.path, d.text.Bytes())
	return err
}
