output "web_security_group_id" {
  value = aws_security_group.web.id
}
output "app_security_group_id" {
  value = aws_security_group.app.id
}
output "db_security_group_id" {
  value = aws_security_group.db.id
}
output "management_security_group_id" {
  value = aws_security_group.management.id
}
