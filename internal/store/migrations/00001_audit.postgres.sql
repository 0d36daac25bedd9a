CREATE SEQUENCE fences;
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM audit_retention WHERE OLD.at < before) THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'audit records are only ever added, and removed by retention only';
END $$;
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON audit
	FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_keep_all BEFORE TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
