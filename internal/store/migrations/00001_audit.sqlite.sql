CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
	SELECT RAISE(ABORT, 'audit records are never changed');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_retention WHERE OLD.at < before)
BEGIN
	SELECT RAISE(ABORT, 'audit records are removed by retention only');
END;
