# Sourced by the MySQL image when it prepares an empty data folder: the replicas' account reads and writes rows, no more.
docker_process_sql --database=mysql <<-SQL
	CREATE USER 'dangri_app'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_app_password)';
	GRANT SELECT, INSERT, UPDATE, DELETE ON dangri.* TO 'dangri_app'@'%';
SQL
