CREATE DATABASE demo;
CREATE TABLE demo.greetings (id INT PRIMARY KEY, greeting VARCHAR(80) NOT NULL);
INSERT INTO demo.greetings VALUES (1, 'hello through the tunnel'), (2, 'one query, two tenants');
CREATE USER 'demo'@'%' IDENTIFIED BY 'demo';
GRANT SELECT ON demo.* TO 'demo'@'%';
FLUSH PRIVILEGES;
