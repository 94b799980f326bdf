variable "environment" {
  type        = string
  description = "Environment name (e.g., prod, staging, dev)"
}
variable "vpc_id" {
  type        = string
  description = "VPC ID where security groups will be created"
}
variable "allowed_http_cidrs" {
  type        = list(string)
  description = "List of CIDR blocks allowed for HTTP access"
  default     = ["0.0.0.0/0"]
}
variable "allowed_https_cidrs" {
  type        = list(string)
  description = "List of CIDR blocks allowed for HTTPS access"
  default     = ["0.0.0.0/0"]
}
variable "allowed_management_cidrs" {
  type        = list(string)
  description = "List of CIDR blocks allowed for management access"
}
variable "app_port" {
  type        = number
  description = "Port for application servers"
  default     = 8080
}
variable "db_port" {
  type        = number
  description = "Port for database access"
  default     = 3306
}
variable "additional_tags" {
  type        = map(string)
  description = "Additional tags for all security groups"
  default     = {}
}
