# Sourced by the MySQL image when it prepares an empty data folder. The tables' owner changes tables and passes rights
# on; the replicas' account has none here: `dangri migrate --grant-to dangri_app` gives it those it needs, table by table,
# so that it reads and writes rows and to the audit only adds.
docker_process_sql --database=mysql <<-SQL
	CREATE USER 'dangri_app'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_app_password)';
	GRANT ALL ON dangri.* TO 'dangri_owner'@'%' WITH GRANT OPTION;
SQL
