package host

func service(string) {}
